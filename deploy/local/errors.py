"""What can go wrong with the stack on this machine, each as one line that a person can act on.

LocalStackError      anything: print it and exit 1
  SettingError       a variable has a value that means nothing
  MissingTool        a program that has to be there is not
  PortTaken          somebody else listens where a server of ours should
  StateError         the state folder cannot be used as it is
  ServerDied         a server ended, or was not ready in time, while it was being started
"""

from pathlib import Path


class LocalStackError(Exception):
    """Its text is one line (ServerDied adds the end of a log below it)."""


class SettingError(LocalStackError):
    """Correct the variable that the text names."""


class MissingTool(LocalStackError):
    """Install the program that the text names, or choose another with the variable that it names."""


class PortTaken(LocalStackError):
    """End the other program, or move ours with the variable that the text names."""


class StateError(LocalStackError):
    """Repair or remove the path that the text names, or choose another state folder."""

    def __init__(self, path: Path, problem: str, logs: Path) -> None:
        super().__init__(
            f"{path}: {problem} (SIGNALBOX_STATE_DIR chooses another state folder; the logs are in {logs})"
        )
        self.path = path


class ServerDied(LocalStackError):
    """Read the log: `log` is its path, and the text ends with its last lines."""

    def __init__(self, name: str, what: str, log: Path, last_lines: list[str]) -> None:
        tail = "".join(f"\n    {line}" for line in last_lines)
        super().__init__(f"{name} {what}; its log is {log}{', which ends:' if tail else ' (empty)'}{tail}")
        self.log = log
