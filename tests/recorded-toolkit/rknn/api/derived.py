"""What nothing was recorded of: other shapes, models and versions than the tiny reranker's at [1,128].

Files have the envelope and the trailer of a recorded one, with the model's own tensors. Their payload begins with MARK, then
comes the ONNX model, marked as simulated, which the runtime of the tests runs (../../../runtime.cpp).
"""

import array
import json
import struct

MARK = b"derived by the recorded toolkit of the tests\n"


def tensors(model, shapes):
    """Names and dimensions of the inputs and the outputs of an ONNX file. An open dimension is the one of `shapes` (by input) in its place."""
    graph = next(value for number, value in fields(model) if number == 7)
    initializers = {text(tensor, 8) for number, tensor in fields(graph) if number == 5}
    inputs = [value_info(value) for number, value in fields(graph) if number == 11]
    outputs = [value_info(value) for number, value in fields(graph) if number == 12]
    inputs = [(name, dims) for name, dims in inputs if name not in initializers]
    sizes = shapes[0] if shapes else []
    return [[(name, [size or sizes[index] for index, size in enumerate(dims)]) for name, dims in side] for side in (inputs, outputs)]


def trailer(recorded):
    length = struct.unpack_from("<Q", recorded, 16)[0]
    return json.loads(recorded[72 + length :])


def fits(recorded, sides, version):
    """Whether a recorded file is what the toolkit would write."""
    found = trailer(recorded)
    return found["version"] == version and [(tensor["url"], tensor["size"]) for tensor in found["norm_tensor"]] == sides[0] + sides[1]


def file(recorded, model, sides, version, target, custom_string, lengths):
    """`lengths` are those of the inputs where the file is for several shapes, else none."""
    length = struct.unpack_from("<Q", recorded, 16)[0]
    description = trailer(recorded)
    types = {tensor["url"]: tensor["dtype"] for tensor in description["norm_tensor"]}
    plain = description["norm_tensor"][0]["dtype"]
    description.update(
        version=version,
        input_num=len(sides[0]),
        output_num=len(sides[1]),
        norm_tensor=[
            {"dim_num": len(dims), "dtype": types.get(name, plain), "size": dims, "tensor_id": index, "url": name}
            for index, (name, dims) in enumerate(sides[0] + sides[1])
        ],
        graph=[
            {"left": side, "left_tensor_id": position, "right": "norm_tensor", "right_tensor_id": position + (len(sides[0]) if side == "output" else 0)}
            for side, found in (("input", sides[0]), ("output", sides[1]))
            for position in range(len(found))
        ],
    )
    marks = {"modelpipeline.simulated": "true", "modelpipeline.target": target, "modelpipeline.custom_string": custom_string or ""}
    if lengths:
        marks["rknnrt_sim.sequences"] = " ".join(map(str, lengths))
    payload = MARK + model + b"".join(metadata(key, value) for key, value in marks.items())
    end = json.dumps(description).encode()
    return recorded[:16] + struct.pack("<Q", len(payload)) + recorded[24:64] + payload + struct.pack("<Q", len(end)) + end


def scores(ids, dims):
    """Numbers that depend on the token in their place: of each token, or of all of a row where there is no place for it."""
    width = dims[-1]
    if len(dims) < 3:
        each = len(ids) // dims[0]
        ids = [sum(ids[row * each : (row + 1) * each]) for row in range(dims[0])]
    return array.array("f", (((token * 7 + column * 13) % 97 - 48) / 97 for token in ids for column in range(width)))


def metadata(key, value):
    """ModelProto.metadata_props, to be appended to a model."""
    entry = b"".join(tag + size(len(part)) + part for tag, part in ((b"\x0a", key.encode()), (b"\x12", value.encode())))
    return b"\x72" + size(len(entry)) + entry


def size(value):
    data = bytearray()
    while value > 127:
        data.append(value & 127 | 128)
        value >>= 7
    data.append(value)
    return bytes(data)


def varint(data, position):
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, position


def fields(data):
    """Numbers and values of a protobuf message."""
    data = memoryview(data)
    position = 0
    while position < len(data):
        key, position = varint(data, position)
        kind = key & 7
        if kind == 0:
            value, position = varint(data, position)
        else:
            length = {1: 8, 5: 4}.get(kind)
            if length is None:
                length, position = varint(data, position)
            value = data[position : position + length]
            position += length
        yield key >> 3, value


def text(message, wanted):
    return next((bytes(value).decode() for number, value in fields(message) if number == wanted), "")


def value_info(message):
    """ValueInfoProto {name = 1, type = 2 {tensor_type = 1 {shape = 2 {dim = 1 {dim_value = 1}}}}}; 0 for an open dimension."""
    shape = message
    for number in (2, 1, 2):
        shape = next((value for found, value in fields(shape) if found == number), b"")
    return text(message, 1), [next((value for found, value in fields(dim) if found == 1), 0) for number, dim in fields(shape) if number == 1]
