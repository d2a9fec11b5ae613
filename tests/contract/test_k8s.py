"""The Kubernetes manifests agree with the settings and the contract's ports, and ask for no privilege."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from docs.generate import environment

BASE = Path(__file__).resolve().parents[2] / "deploy" / "k8s" / "base"
KUSTOMIZATION: dict[str, Any] = yaml.safe_load((BASE / "kustomization.yaml").read_text())
MANIFESTS: list[dict[str, Any]] = [
    manifest
    for name in KUSTOMIZATION["resources"]
    for manifest in yaml.safe_load_all((BASE / name).read_text())
]
SECRETS: dict[str, set[str]] = {
    secret["metadata"]["name"]: set(secret["stringData"])
    for secret in yaml.safe_load_all((BASE / "secrets.example.yaml").read_text())
}
CONFIG_MAPS: dict[str, set[str]] = {
    generator["name"]: {literal.partition("=")[0] for literal in generator["literals"]}
    for generator in KUSTOMIZATION["configMapGenerator"]
}
PORTS = {"ingest": 8001, "jobs": 8002, "cache": 8003}


def _of_kind(kind: str) -> dict[str, dict[str, Any]]:
    return {item["metadata"]["name"]: item["spec"] for item in MANIFESTS if item["kind"] == kind}


def _pods() -> dict[str, dict[str, Any]]:
    """The pod specification of every workload, by the workload's name."""
    templates = {
        name: spec["template"]
        for kind in ("Deployment", "StatefulSet", "Job")
        for name, spec in _of_kind(kind).items()
    }
    for name, spec in _of_kind("CronJob").items():
        templates[name] = spec["jobTemplate"]["spec"]["template"]
    return {name: template["spec"] for name, template in templates.items()}


def _variables(container: dict[str, Any]) -> set[str]:
    names = {item["name"] for item in container.get("env", ())}
    for source in container["envFrom"]:
        names |= CONFIG_MAPS[source["configMapRef"]["name"]] if "configMapRef" in source else set()
        names |= SECRETS[source["secretRef"]["name"]] if "secretRef" in source else set()
    return names


def _service(container: dict[str, Any]) -> str:
    image: str = container["image"]
    return image.removeprefix("signalbox-")


PODS = _pods()
each_pod = pytest.mark.parametrize("pod", PODS.values(), ids=PODS)


def test_every_manifest_is_listed_and_no_secret_is() -> None:
    files = {path.name for path in BASE.glob("*.yaml")}
    assert files - set(KUSTOMIZATION["resources"]) == {"kustomization.yaml", "secrets.example.yaml"}
    assert not [manifest for manifest in MANIFESTS if manifest["kind"] == "Secret"]


@each_pod
def test_variables_are_settings_of_the_service(pod: dict[str, Any]) -> None:
    (container,) = pod["containers"]
    assert _variables(container) <= set(environment.read_by(_service(container)))


@each_pod
def test_every_required_setting_is_given(pod: dict[str, Any]) -> None:
    (container,) = pod["containers"]
    if container.get("command"):  # not the service itself
        return
    variables = environment.read_by(_service(container))
    required = {name for name, variable in variables.items() if variable.default is None}
    assert required <= _variables(container)


@each_pod
def test_pods_ask_for_no_privilege(pod: dict[str, Any]) -> None:
    """What the Pod Security Standard `restricted` asks for, a read-only root, and no token of the cluster's."""
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False


@each_pod
def test_pods_have_requests_and_limits(pod: dict[str, Any]) -> None:
    resources = pod["containers"][0]["resources"]
    assert {"cpu", "memory"} == set(resources["requests"]) == set(resources["limits"])


@pytest.mark.parametrize("service", PORTS)
def test_services_listen_on_the_contracts_ports(service: str) -> None:
    (container,) = _pods()[service]["containers"]
    assert container["ports"] == [{"name": "http", "containerPort": PORTS[service]}]
    assert _of_kind("Service")[service]["ports"][0]["port"] == PORTS[service]
    assert environment.read_by(service)[f"SIGNALBOX_{service.upper()}_PORT"].default == str(PORTS[service])


@pytest.mark.parametrize("service", PORTS)
def test_services_are_probed(service: str) -> None:
    (container,) = _pods()[service]["containers"]
    paths = {
        kind: container[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "liveness", "readiness")
    }
    assert paths == {"startup": "/livez", "liveness": "/livez", "readiness": "/readyz"}


def test_load_tests_never_overlap_or_repeat() -> None:
    schedule = _of_kind("CronJob")["loadgen"]
    assert schedule["concurrencyPolicy"] == "Forbid"
    assert schedule["startingDeadlineSeconds"] > 0
    assert schedule["jobTemplate"]["spec"]["backoffLimit"] == 0
    assert schedule["jobTemplate"]["spec"]["activeDeadlineSeconds"] > 0
