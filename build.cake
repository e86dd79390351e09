// The pipeline in Cake's script engine, with the tasks and options of ./build.sh:
//   dotnet tool restore && dotnet cake --target=Quantize --model=tiny-reranker
using System.Reflection;
using System.Runtime.Loader;

if (StartProcess("dotnet", "build build -c Release --nologo -v quiet -tl:off") != 0)
    throw new CakeException("The build host does not build: see above.");

var host = new HostContext(MakeAbsolute(File("build/bin/Release/net10.0/Build.dll")).FullPath);
host.Register(Context, Task, Setup, Teardown);
RunTarget(Argument("target", "Default"));

/// Loads the host with what it was built with, and Cake from this engine.
class HostContext(string path) : AssemblyLoadContext("host")
{
    private readonly AssemblyDependencyResolver resolver = new(path);

    public void Register(
        ICakeContext context,
        Func<string, CakeTaskBuilder> task,
        Action<Action<ISetupContext>> setup,
        Action<Action<ITeardownContext>> teardown) =>
        LoadFromAssemblyPath(path).GetType("Build.ScriptTasks", throwOnError: true).GetMethod("Register")
            .CreateDelegate<Action<ICakeContext, Func<string, CakeTaskBuilder>, Action<Action<ISetupContext>>, Action<Action<ITeardownContext>>>>()
            (context, task, setup, teardown);

    protected override Assembly Load(AssemblyName name) =>
        name.Name is "Cake.Core" or "Cake.Common" ? null : resolver.ResolveAssemblyToPath(name) is { } found ? LoadFromAssemblyPath(found) : null;

    protected override IntPtr LoadUnmanagedDll(string name) =>
        resolver.ResolveUnmanagedDllToPath(name) is { } found ? LoadUnmanagedDllFromPath(found) : IntPtr.Zero;
}
