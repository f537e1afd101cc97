# Sourced by the other scripts: makes the virtual environment and installs this checkout into it.
# Usage: prepare_environment EXTRAS, for example "embedded" or "embedded,test".
# PYTHON chooses the interpreter, VENV the environment's folder (default .venv).

VENV="${VENV:-.venv}"

prepare_environment() {
    local extras="$1" python="${PYTHON:-python3}" stamp wanted
    if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        echo "error: Python 3.11 or newer is needed; set PYTHON=/path/to/python3.11" >&2
        return 1
    fi
    ensure_openmp || return 1
    if [ ! -x "$VENV/bin/python" ] && ! "$python" -m venv "$VENV"; then
        rm -rf "$VENV"
        echo "error: python -m venv failed; on Debian and Ubuntu: apt-get install python3-venv" >&2
        return 1
    fi
    stamp="$VENV/.installed-$extras"
    wanted="$(cksum pyproject.toml)"
    if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
        "$VENV/bin/python" -m pip install --disable-pip-version-check --quiet --editable ".[$extras]" || return 1
        echo "$wanted" > "$stamp"
    fi
}

# The engine needs the OpenMP runtime, which slim images lack.
ensure_openmp() {
    [ "$(uname -s)" = Linux ] || return 0
    python3 -c 'import ctypes; ctypes.CDLL("libgomp.so.1")' 2>/dev/null && return 0
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "installing libgomp1, the OpenMP runtime" >&2
        { apt-get update -qq && apt-get install -y -qq libgomp1; } >/dev/null && return 0
    fi
    echo "error: libgomp.so.1 is missing; on Debian and Ubuntu: apt-get install libgomp1" >&2
    return 1
}
