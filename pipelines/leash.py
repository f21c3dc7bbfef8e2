"""A program that ends with the process that started it, however that ends: `python leash.py PROGRAM ARGUMENT…`.

Its standard input is a pipe from that process. Prism alone may wait for ever for workers that were killed.
"""

import subprocess
import sys
import threading


def main() -> int:
    program = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)  # noqa: S603 - what our own runner names

    def follow() -> None:
        sys.stdin.buffer.read()
        program.kill()

    threading.Thread(target=follow, daemon=True).start()
    return program.wait()


if __name__ == "__main__":
    sys.exit(main())
