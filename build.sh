#!/usr/bin/env bash
# Installs what the build needs, builds the Cake host when its sources changed, and becomes it.
# All arguments are the host's:  ./build.sh --target=Quantize --model=tiny-reranker
set -euo pipefail
caller="$PWD"
cd "$(dirname "${BASH_SOURCE[0]}")"
root="$PWD"

fail() {
  printf '%s\n' "$@" >&2
  exit 1
}

# One line for each program: its name, its Debian package.
missing=()
need() { PATH="$PATH:/usr/sbin" command -v "$1" >/dev/null 2>&1 || missing+=("$2"); }
need cmake cmake
need make make
need "${CXX:-c++}" g++
[[ -e /usr/include/nlohmann/json.hpp ]] || missing+=(nlohmann-json3-dev)
# What boards run is cross-compiled; tests and the device 'loopback' put this machine in a board's place.
if [[ "$*" == *Test* || ( "$*" == *--device=* && "$*" != *--device=simulator* ) ]]; then
  need aarch64-linux-gnu-g++ g++-aarch64-linux-gnu
fi
if [[ "$*" == *Test* || "$*" == *--device=loopback* ]]; then
  need sshd openssh-server
  need qemu-aarch64-static qemu-user-static
fi
# A toolkit of tests is a Python package.
if [[ "$*" == *Test* ]]; then
  need python3 python3
  python3 -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv)
fi

if ((${#missing[@]})); then
  if ! command -v apt-get >/dev/null 2>&1; then
    fail "Missing: ${missing[*]}. Install CMake, make and a C++ compiler, for example:" \
      "  dnf install cmake make gcc-c++    or    brew install cmake && xcode-select --install"
  fi
  as_root=()
  if ((EUID != 0)); then
    # Machines of a CI service let anybody be root.
    [[ ${CI:-} == true ]] && sudo -n true 2>/dev/null || fail "Missing: ${missing[*]}. Install them with:" "  sudo apt-get install -y ${missing[*]}"
    as_root=(sudo -n --preserve-env=DEBIAN_FRONTEND)
  fi
  export DEBIAN_FRONTEND=noninteractive
  "${as_root[@]}" apt-get update -qq >&2
  "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2
fi

# Where dotnet-install.sh puts it.
command -v dotnet >/dev/null 2>&1 || PATH="$PATH:$HOME/.dotnet"
export DOTNET_NOLOGO=1 DOTNET_CLI_TELEMETRY_OPTOUT=1
sdk="$(dotnet --version 2>/dev/null)" || fail \
  "No .NET SDK that global.json accepts ($(tr -d ' \n' <global.json | sed 's/.*"version":"\([^"]*\)".*/\1/') or a later one of the same major version). Get it from" \
  "  https://dotnet.microsoft.com/download    or with    curl -sSL https://dot.net/v1/dotnet-install.sh | bash -s -- --jsonfile global.json"

# Built again when a source, the SDK or what was built is not what the last build left.
output=build/bin/Release/net10.0
state=build/obj/bootstrap.state
sources() {
  echo "$sdk $(command -v aarch64-linux-gnu-g++ || true)"
  # All of pipeline/ is built in, but for the sample model, which is read from where it is.
  find build src native pipeline Directory.*.props global.json \( -name bin -o -name obj -o -path pipeline/sample/tiny-reranker \) -prune -o -type f -exec cksum {} + |
    LC_ALL=C sort
}
built() { cksum "$output"/{Build,Cake.Frosting,ModelPipeline,ModelPipeline.Artifacts}.dll 2>&1 || true; }
now="$(sources)"
if [[ "$(cat "$state" 2>/dev/null)" != "$now"$'\n'"$(built)" ]]; then
  log="$(dotnet build build -c Release --nologo -v quiet -tl:off 2>&1)" || fail "$log"
  printf '%s\n%s\n' "$now" "$(built)" >"$state"
fi

# Paths on the command line are the caller's; what it does not name lies here, unless the caller has a models.yaml or makes one.
defaults=()
if [[ $caller != "$root" && ! -e $caller/models.yaml && "$*" != *--target=New* ]]; then
  [[ " $*" == *" --manifest"* ]] || defaults+=("--manifest=$root/models.yaml")
  [[ " $*" == *" --artifacts"* ]] || defaults+=("--artifacts=$root/artifacts")
fi
cd "$caller"
exec dotnet "$root/$output/Build.dll" "${defaults[@]}" "$@"
