# SPDX-License-Identifier: Apache-2.0
"""A process that imported everything once and forks: each command line is a process, and cheap.

It reads orders as JSON lines: {"argv", "before", "cwd", "env", "at"}. For each it forks a process
that executes `before`, then `trueup` with `argv`, as the console script would, with its output in
files beside `at`; whoever opens the pipe `at` reads {"code", "pid"} when it has ended.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

ROOMS = ("cli._open", "cli.data", "cli.keep", "cli.look", "cli.people", "client", "loop", "testing",
         "store._history", "store._doctor", "registry.retention", "models.constant", "train.run", "stats", "loop.plan",
         "loop.status", "loop.check", "loop._nearest", "data.manifest", "evaluate.report")


def main() -> None:
    from importlib import import_module

    for room in ROOMS:
        import_module(f"trueup.{room}")
    for other in ("rich.console", "rich.progress", "click.shell_completion", "getpass"):
        import_module(other)
    import_module("trueup.loop.context").know_kinds()
    sys.path.insert(0, str(Path(__file__).parent))
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    print("ready", flush=True)
    for line in sys.stdin:
        if os.fork() == 0:
            attend(json.loads(line))


def attend(order: dict[str, Any]) -> None:
    """Fork the process, wait for its end, and tell it."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = os.fork()
    if pid == 0:
        become(order)
    Path(order["at"] + ".pid").write_text(str(pid))
    _, status = os.waitpid(pid, 0)
    with open(order["at"], "w") as pipe:
        json.dump({"code": os.waitstatus_to_exitcode(status), "pid": pid}, pipe)
    os._exit(0)


def become(order: dict[str, Any]) -> None:
    """Be the process that was ordered."""
    code = 1
    try:
        os.chdir(order["cwd"])
        os.environ.update(order["env"])
        for number, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(f"{order['at']}.{name}", os.O_CREAT | os.O_WRONLY, 0o644), number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        sys.argv = ["trueup", *(order["argv"] or ())]
        exec(order["before"], {"__name__": "before", "print": print})
        if order["argv"] is not None:
            from trueup.cli import main as trueup

            trueup(order["argv"])
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
