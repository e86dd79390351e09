"""The little of NumPy that the driver calls."""

import array
import ast
import struct


class Array:
    def __init__(self, values, shape, dtype):
        self.values = values
        self.shape = shape
        self.dtype = dtype

    def astype(self, dtype):
        if dtype != "<f4":
            raise TypeError(f"no conversion to {dtype}")
        return Array(array.array("f", self.values), self.shape, dtype)

    def tobytes(self):
        return self.values.tobytes()


def load(path):
    """int64 arrays of format 1.0."""
    with open(path, "rb") as file:
        if file.read(8) != b"\x93NUMPY\x01\x00":
            raise ValueError(f"{path} is no .npy file")
        header = ast.literal_eval(file.read(struct.unpack("<H", file.read(2))[0]).decode())
        if header["descr"] != "<i8":
            raise ValueError(f"{path} holds {header['descr']}")
        values = array.array("q", file.read())
    return Array(values, header["shape"], "int64")
