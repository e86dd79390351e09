using System.Buffers.Binary;
using System.Text;
using CsCheck;
using ModelPipeline.Calibration;
using ModelPipeline.Core;

namespace ModelPipeline.Tests.Calibration;

public sealed class NpyFileTests : IDisposable
{
    private const string Good = "{'descr': '<i8', 'fortran_order': False, 'shape': (1, 2), }";

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Rows_of_any_values_come_back() =>
        Gen
            .Long.Array[1, 300]
            .Sample(
                row =>
                {
                    var path = Path.Combine(_folder.Path, Guid.NewGuid().ToString("N"));
                    NpyFile.Write(path, row);
                    var (values, batch) = NpyFile.Read(path);
                    Assert.Equal(row, values);
                    Assert.Equal(1, batch);
                },
                iter: 50
            );

    [Fact]
    public void A_batch_of_rows_comes_back()
    {
        var path = _folder.File("batch.npy");
        NpyFile.Write(path, [1, 2, 3, 4, 5, 6], batch: 3);
        Assert.Contains("'shape': (3, 2), ", Encoding.Latin1.GetString(System.IO.File.ReadAllBytes(path)));
        var (values, batch) = NpyFile.Read(path);
        Assert.Equal([1, 2, 3, 4, 5, 6], values);
        Assert.Equal(3, batch);
    }

    [Fact]
    public void Version_2_is_read_too() => Assert.Equal([0x0807060504030201, -1], NpyFile.Read(File(Good, version: 2)).Values);

    [Theory]
    [InlineData("{'descr': '<i4', 'fortran_order': False, 'shape': (1, 4), }", 16)]
    [InlineData("{'descr': '>i8', 'fortran_order': False, 'shape': (1, 2), }", 16)]
    [InlineData("{'descr': '<i8', 'fortran_order': True, 'shape': (1, 2), }", 16)]
    [InlineData("{'descr': '<i8', 'fortran_order': False, 'shape': (2,), }", 16)]
    [InlineData("{'descr': '<i8', 'fortran_order': False, 'shape': (1, 0), }", 0)]
    [InlineData("{'descr': '<i8', 'fortran_order': False, 'shape': (1, 999999999999999999), }", 16)]
    [InlineData("{'descr': '|O', 'fortran_order': False, 'shape': (1, 2), }", 16)]
    public void An_array_of_another_kind_is_refused_with_its_header(string header, int data) =>
        Refused(File(header, data: data), $"has the header {header}; expected '<i8'");

    [Theory]
    [InlineData(15)]
    [InlineData(17)]
    [InlineData(0)]
    public void Data_of_another_length_is_refused(int data) =>
        Refused(File(Good, data: data), $"has {data} bytes of data; its header says 1 x 2 x 8");

    [Fact]
    public void A_huge_header_is_refused_before_it_is_read() =>
        Refused(File(Good, version: 2, headerBytes: uint.MaxValue), "has a header of 4294967295 bytes in a file of");

    [Fact]
    public void Another_version_is_refused() => Refused(File(Good, version: 9), "has .npy version 9.0");

    [Fact]
    public void A_file_cut_anywhere_is_refused()
    {
        var whole = System.IO.File.ReadAllBytes(File(Good, version: 2));
        for (var length = 0; length < whole.Length; length++)
            Refused(_folder.Write("cut.npy", whole[..length]), "cut.npy: ");
    }

    private static void Refused(string path, string expected) =>
        Assert.Contains(expected, Assert.Throws<PipelineException>(() => NpyFile.Read(path)).Message);

    private string File(string header, byte version = 1, int data = 16, uint? headerBytes = null)
    {
        var text = Encoding.ASCII.GetBytes(header.PadRight(100) + '\n');
        var length = new byte[version == 1 ? 2 : 4];
        if (version == 1)
            BinaryPrimitives.WriteUInt16LittleEndian(length, (ushort)text.Length);
        else
            BinaryPrimitives.WriteUInt32LittleEndian(length, headerBytes ?? (uint)text.Length);
        byte[] values = [1, 2, 3, 4, 5, 6, 7, 8, 255, 255, 255, 255, 255, 255, 255, 255, 0];
        return _folder.Write("row.npy", [0x93, .. "NUMPY"u8, version, 0, .. length, .. text, .. values[..data]]);
    }
}
