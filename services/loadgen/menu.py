"""The menu for people at a terminal: pick a scenario, say against what, go."""

from collections.abc import Sequence

from services.loadgen.scenarios import SCENARIOS

_DEFAULT_TARGET = "http://127.0.0.1:8001"


def choose(target: str) -> Sequence[str] | None:
    """Ask for a scenario and its target; the answer is the arguments of `run`, or None when they left.

    `target` is what an empty answer means.
    """
    scenarios = list(SCENARIOS.values())
    print("Load scenarios")
    for number, scenario in enumerate(scenarios, start=1):
        print(
            f"  {number}  {scenario.name:8}{scenario.users:5} users {scenario.duration_s:4.0f} s   "
            f"{scenario.description}"
        )
    print("  0  leave")
    try:
        picked = _number("Scenario: ", len(scenarios))
        if picked == 0:
            return None
        default = target or _DEFAULT_TARGET
        address = input(f"Target [{default}]: ").strip() or default
        conditions = input("Fail on, such as p95<200ms,errors<1% [nothing]: ").strip()
    except (EOFError, KeyboardInterrupt):
        print()
        return None
    arguments = ["run", scenarios[picked - 1].name, "--target", address]
    return [*arguments, "--fail-on", conditions] if conditions else arguments


def _number(prompt: str, most: int) -> int:
    while True:
        answer = input(prompt).strip()
        if answer.isascii() and answer.isdigit() and int(answer) <= most:
            return int(answer)
        print(f"A number from 0 to {most}, please.")
