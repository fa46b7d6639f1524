"""Set Tuition up in an AWS account: ``python install.py``.

This file needs Python 3.8 or later with venv and pip, and nothing else. It makes the environment of the installer in
this folder (Python 3.13 included) and starts it. ``python install.py --help`` lists the options; docs/setup.md explains
them. It is the same on Linux, macOS and Windows.
"""

import hashlib
import os
import pathlib
import subprocess
import sys
import venv

ROOT = pathlib.Path(__file__).resolve().parent
UV_VERSION = "0.13.9"
UV = ROOT / ".uv"
ENVIRONMENT = ROOT / ".venv-install"
REQUIREMENTS = ROOT / "requirements-install.txt"
MINIMUM = (3, 8)


def main(arguments):
    """Make the environment if it is missing or outdated, and run the installer in it. Return its exit code."""
    if sys.version_info < MINIMUM:
        return fail("This needs Python %d.%d or later; python.org has it." % MINIMUM)
    try:
        python = prepare()
    except (OSError, subprocess.CalledProcessError) as error:
        return fail(
            "The environment of the installer cannot be made: %s\n"
            "It needs venv and pip (on Debian and Ubuntu: apt-get install python3-venv) and access to pypi.org. "
            "Run this again when that is mended." % error
        )
    paths = os.pathsep.join(str(path) for path in (ROOT, ROOT / "layers" / "tuition"))
    environment = dict(os.environ, PYTHONPATH=paths, PYTHONUTF8="1")
    command = [str(python), "-m", "installer", *arguments]
    with subprocess.Popen(command, env=environment) as process:
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                continue  # the installer gets the same signal, and ends with a message of its own


def prepare():
    """Return the Python of the installer's environment, which is made from the pinned packages if it is not current."""
    python = program(ENVIRONMENT, "python")
    stamp = ENVIRONMENT / "made-from"
    version = (ROOT / ".python-version").read_text().strip()
    current = hashlib.sha256(REQUIREMENTS.read_bytes() + version.encode()).hexdigest()
    if python.exists() and stamp.exists() and stamp.read_text() == current:
        return python
    uv = program(UV, "uv")
    if not uv.exists():
        print("Installing uv %s into .uv" % UV_VERSION, file=sys.stderr)
        venv.create(str(UV), with_pip=True)
        pip = [str(program(UV, "python")), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "uv==" + UV_VERSION], check=True)
    print("Making .venv-install (uv downloads Python %s if it is not installed)" % version, file=sys.stderr)
    make = [str(uv), "venv", "--quiet", "--allow-existing", "--python", version, str(ENVIRONMENT)]
    subprocess.run(make, check=True)
    subprocess.run([str(uv), "pip", "sync", "--quiet", "--python", str(python), str(REQUIREMENTS)], check=True)
    stamp.write_text(current)
    return python


def program(environment, name):
    """Return the path of a program in a virtual environment, which Windows has in another folder."""
    if os.name == "nt":
        return environment / "Scripts" / (name + ".exe")
    return environment / "bin" / name


def fail(message):
    """Print why the installer cannot start, and return its exit code."""
    print(message, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
