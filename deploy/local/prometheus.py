"""Prometheus, where the system has one: it collects the metrics of the services."""

import json
import shutil
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.local.ports import Port
from deploy.local.process import Command
from deploy.local.server import Say
from deploy.local.services import Service, answers
from deploy.local.settings import PROJECT, Settings
from deploy.local.state import State

RULES = PROJECT / "deploy" / "prometheus" / "rules"


@dataclass(frozen=True)
class Prometheus:
    """Scrapes every service of this stack each five seconds."""

    state: State
    port: Port
    binary: Path
    scraped: Sequence[Service]

    name = "prometheus"
    kind = ""
    title = "Prometheus"
    stop_signal = int(signal.SIGTERM)
    grace_s = 15.0
    ready_within_s = 60.0

    @classmethod
    def of_the_system(
        cls, settings: Settings, state: State, scraped: Sequence[Service]
    ) -> "Prometheus | None":
        """The one on PATH, if any."""
        binary = shutil.which("prometheus", path=settings.environ.get("PATH"))
        return cls(state, settings.ports.port("prometheus"), Path(binary), scraped) if binary else None

    @property
    def ports(self) -> list[Port]:
        return [self.port]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port.number}"

    def ended(self, clean: bool) -> None:
        """It recovers its data by itself."""

    def prepare(self, say: Say) -> None:
        # JSON is YAML, too.
        configuration = json.dumps(self._configuration(), indent=2) + "\n"
        (self.state.folder("prometheus") / "prometheus.yml").write_text(configuration)

    def command(self) -> Command:
        folder = self.state.folder("prometheus")
        argv = [str(self.binary), f"--config.file={folder / 'prometheus.yml'}"]
        argv += [f"--storage.tsdb.path={folder / 'data'}", "--storage.tsdb.retention.time=7d"]
        argv += [f"--web.listen-address=127.0.0.1:{self.port.number}", "--log.level=warn"]
        return Command(argv, {}, folder)

    def is_ready(self) -> bool:
        return answers(f"{self.url}/-/ready")

    def complete(self) -> None:
        """Nothing is left to do."""

    def list_targets(self) -> None:
        """Write what is to be scraped; a running Prometheus notices."""
        listed: dict[str, list[str]] = {}
        for service in self.scraped:
            listed.setdefault(service.module, []).append(service.url.removeprefix("http://"))
        for module, targets in listed.items():
            path = self.state.folder("prometheus") / f"targets-{module}.json"
            self.state.write_private(path, json.dumps([{"targets": targets}]) + "\n")

    def _configuration(self) -> dict[str, object]:
        modules = {service.module: None for service in self.scraped}
        return {
            "global": {"scrape_interval": "5s", "evaluation_interval": "5s"},
            "rule_files": [str(RULES / "*.yml")],
            "scrape_configs": [
                {"job_name": module, "file_sd_configs": [{"files": [f"targets-{module}.json"]}]}
                for module in modules
            ],
        }
