using System.Runtime.InteropServices;
using System.Text;
using ModelPipeline.Core;

namespace ModelPipeline.Npu;

/// <summary>The C ABI of native/include/rknnshim.h.</summary>
internal static unsafe partial class NativeShim
{
    private const string Library = "rknnshim";
    private const uint AbiVersion = 3;

    private static readonly Lazy<bool> Compatible = new(() =>
    {
        uint found;
        try
        {
            found = GetAbiVersion();
        }
        catch (Exception e) when (e is DllNotFoundException or BadImageFormatException or EntryPointNotFoundException)
        {
            throw new PipelineException(
                $"librknnshim.so is missing from {AppContext.BaseDirectory}, or is no such library: build the project again; it is made "
                    + $"from native/ by CMake.",
                inner: e
            );
        }
        return found == AbiVersion
            ? true
            : throw new PipelineException(
                $"librknnshim.so has ABI version {found}, this program needs {AbiVersion}: build both from the same sources."
            );
    });

    public enum Status
    {
        Ok = 0,
        InvalidArgument,
        InvalidHandle,
        Unsupported,
        NotFound,
        InvalidModel,
        RuntimeError,
        IoError,
        Cancelled,
        BufferTooSmall,
        Pending,
        End,
        InternalError,
        Busy,
    }

    public struct Input
    {
        public long* Data;
        public ulong Count;
    }

    public struct Output
    {
        public float* Data;
        public ulong Capacity;
        public ulong Count;
    }

    /// <summary>A function that fills a buffer of the given size with UTF-8 and tells the text's length.</summary>
    public delegate Status TextSource(byte* buffer, nuint capacity, out nuint length);

    /// <summary>Fails with one clear error when the library is missing or of another version. Call it before any other function.</summary>
    public static void Require() => _ = Compatible.Value;

    /// <summary>Turns a failure into the exception that says what the library said.</summary>
    public static void Check(Status status)
    {
        switch (status)
        {
            case Status.Ok:
                return;
            case Status.Cancelled:
                throw new OperationCanceledException(LastError());
            default:
                throw new PipelineException(LastError());
        }
    }

    /// <summary>Reads text of any length.</summary>
    public static (Status Status, string Text) Read(TextSource source)
    {
        var buffer = new byte[1024];
        while (true)
        {
            Status status;
            nuint length;
            fixed (byte* start = buffer)
                status = source(start, (nuint)buffer.Length, out length);
            if (status != Status.BufferTooSmall)
                return (status, status == Status.Ok ? Encoding.UTF8.GetString(buffer.AsSpan(0, checked((int)length))) : "");
            buffer = new byte[checked((int)length + 1)];
        }
    }

    /// <summary>Of this thread's last failure.</summary>
    public static string LastError() => Marshal.PtrToStringUTF8((nint)GetLastError()) ?? "";

    [LibraryImport(Library, EntryPoint = "rknnshim_abi_version")]
    private static partial uint GetAbiVersion();

    [LibraryImport(Library, EntryPoint = "rknnshim_last_error")]
    private static partial byte* GetLastError();

    [LibraryImport(Library, EntryPoint = "rknnshim_machine_open", StringMarshalling = StringMarshalling.Utf8)]
    public static partial Status OpenMachine(string options, out MachineHandle machine);

    [LibraryImport(Library, EntryPoint = "rknnshim_machine_describe")]
    public static partial Status DescribeMachine(MachineHandle machine, byte* buffer, nuint capacity, out nuint length);

    [LibraryImport(Library, EntryPoint = "rknnshim_machine_set_governor", StringMarshalling = StringMarshalling.Utf8)]
    public static partial Status SetGovernor(MachineHandle machine, string npu);

    [LibraryImport(Library, EntryPoint = "rknnshim_machine_close")]
    private static partial Status CloseMachine(nint machine);

    [LibraryImport(Library, EntryPoint = "rknnshim_job_start")]
    public static partial Status StartJob(ReadOnlySpan<byte> json, nuint length, out JobHandle job);

    [LibraryImport(Library, EntryPoint = "rknnshim_job_poll")]
    public static partial Status PollJob(JobHandle job, int timeoutMilliseconds, byte* buffer, nuint capacity, out nuint length);

    [LibraryImport(Library, EntryPoint = "rknnshim_job_cancel")]
    public static partial Status CancelJob(JobHandle job);

    [LibraryImport(Library, EntryPoint = "rknnshim_job_result")]
    public static partial Status GetJobResult(JobHandle job, byte* buffer, nuint capacity, out nuint length);

    [LibraryImport(Library, EntryPoint = "rknnshim_job_free")]
    private static partial Status FreeJob(nint job);

    [LibraryImport(Library, EntryPoint = "rknnshim_model_load", StringMarshalling = StringMarshalling.Utf8)]
    public static partial Status LoadModel(string backend, string path, string options, out ModelHandle model);

    [LibraryImport(Library, EntryPoint = "rknnshim_model_describe")]
    public static partial Status DescribeModel(ModelHandle model, byte* buffer, nuint capacity, out nuint length);

    [LibraryImport(Library, EntryPoint = "rknnshim_model_profile")]
    public static partial Status ProfileModel(ModelHandle model, byte* buffer, nuint capacity, out nuint length);

    [LibraryImport(Library, EntryPoint = "rknnshim_model_duplicate")]
    public static partial Status DuplicateModel(ModelHandle model, int coreMask, out ModelHandle copy);

    [LibraryImport(Library, EntryPoint = "rknnshim_model_run")]
    public static partial Status RunModel(
        ModelHandle model,
        Input* inputs,
        uint inputCount,
        Output* outputs,
        uint outputCount,
        out long microseconds
    );

    [LibraryImport(Library, EntryPoint = "rknnshim_model_cancel")]
    public static partial Status CancelModel(ModelHandle model);

    [LibraryImport(Library, EntryPoint = "rknnshim_model_close")]
    private static partial Status CloseModel(nint model);

    /// <summary>Releasing it gives back governor and lock.</summary>
    public sealed class MachineHandle() : SafeHandle(0, ownsHandle: true)
    {
        public override bool IsInvalid => handle == 0;

        protected override bool ReleaseHandle() => CloseMachine(handle) == Status.Ok;
    }

    /// <summary>Zero is no handle; releasing a job cancels it and waits for its thread.</summary>
    public sealed class JobHandle() : SafeHandle(0, ownsHandle: true)
    {
        public override bool IsInvalid => handle == 0;

        protected override bool ReleaseHandle() => FreeJob(handle) == Status.Ok;
    }

    public sealed class ModelHandle() : SafeHandle(0, ownsHandle: true)
    {
        public override bool IsInvalid => handle == 0;

        protected override bool ReleaseHandle() => CloseModel(handle) == Status.Ok;
    }
}
