@echo off
rem Builds the Cake host and runs it. All arguments are the host's:  build --target=Quantize --model=tiny-reranker
setlocal
set "root=%~dp0"
set "caller=%CD%\"
pushd "%root%"
where cmake >nul 2>nul || (
  echo CMake is missing. Install it and the C++ workload with: winget install Kitware.CMake Microsoft.VisualStudio.2022.BuildTools 1>&2
  exit /b 1
)
dotnet --version >nul 2>nul || (
  echo No .NET SDK that global.json accepts. Get it from https://dotnet.microsoft.com/download 1>&2
  exit /b 1
)
dotnet build build -c Release --nologo -v quiet || exit /b 1
popd
rem Paths on the command line are the caller's; what it does not name lies beside this script, unless the caller has a models.yaml or makes one.
set "defaults="
if /i "%caller%"=="%root%" goto run
if exist "%caller%models.yaml" goto run
echo %* | findstr /c:"--target=New" >nul && goto run
echo %* | findstr /c:"--manifest" >nul || set defaults=--manifest="%root%models.yaml"
echo %* | findstr /c:"--artifacts" >nul || set defaults=%defaults% --artifacts="%root%artifacts"
:run
dotnet "%root%build\bin\Release\net10.0\Build.dll" %defaults% %*
