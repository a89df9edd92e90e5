"""The manifests: they fit each other, the command line and the image, and hold to what a cluster asks of a pod."""

from __future__ import annotations

import copy
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.test_settings import effective
from tests.deploy.commands import VARIABLES, faults

FOLDER = Path(__file__).parents[2] / "deploy" / "kubernetes"
API_VERSIONS = {
    "CronJob": "batch/v1",
    "Kustomization": "kustomize.config.k8s.io/v1beta1",
    "NetworkPolicy": "networking.k8s.io/v1",
    "PersistentVolumeClaim": "v1",
    "PodDisruptionBudget": "policy/v1",
    "Service": "v1",
    "StatefulSet": "apps/v1",
}
IMAGE_USER = "USER 10001:10001\n"

Manifests = dict[str, dict[str, Any]]


def manifests() -> Manifests:
    """Return what `kubectl apply -k` would apply, as kind/name → document."""
    kustomization = yaml.safe_load((FOLDER / "kustomization.yaml").read_text(encoding="utf-8"))
    assert set(kustomization["resources"]) == {
        path.name for path in FOLDER.glob("*.yaml") if path.name != "kustomization.yaml"
    }
    found: Manifests = {"Kustomization/": kustomization}
    for name in kustomization["resources"]:
        for document in yaml.safe_load_all((FOLDER / name).read_text(encoding="utf-8")):
            found[f"{document['kind']}/{document['metadata']['name']}"] = document
    return found


def pods(documents: Manifests) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Yield the name, the pod and the spec that it is in."""
    for name, document in documents.items():
        spec = document.get("spec", {})
        if document["kind"] == "StatefulSet":
            yield name, spec["template"], spec
        elif document["kind"] == "CronJob":
            job = spec["jobTemplate"]["spec"]
            yield name, job["template"], job


def manifest_faults(documents: Manifests) -> list[str]:
    """Return what does not fit."""
    found = [
        f"{name} is not {API_VERSIONS.get(document['kind'])}"
        for name, document in documents.items()
        if document["apiVersion"] != API_VERSIONS.get(document["kind"])
    ]
    for name, pod, owner in pods(documents):
        found += [f"{name}: {fault}" for fault in pod_faults(documents, pod, owner)]
    service_pod = documents["StatefulSet/mdm"]["spec"]["template"]
    labels = service_pod["metadata"]["labels"]
    ports = {port["name"]: port["containerPort"] for port in service_pod["spec"]["containers"][0]["ports"]}
    for name, document in documents.items():
        spec = document.get("spec", {})
        match document["kind"]:
            case "Service":
                chosen = spec["selector"]
                targets = [port.get("targetPort", port["port"]) for port in spec["ports"]]
                found += [f"{name}: no port {each}" for each in targets if each not in {*ports, *ports.values()}]
            case "PodDisruptionBudget":
                chosen = spec["selector"]["matchLabels"]
            case "NetworkPolicy":
                chosen = spec["podSelector"]["matchLabels"]
                opened = [port["port"] for rule in spec["ingress"] for port in rule["ports"]]
                found += [f"{name}: no port {each}" for each in opened if each not in ports]
            case "StatefulSet":
                chosen = spec["selector"]["matchLabels"]
                found += [f"{name}: several writers"] if spec["replicas"] != 1 else []
                found += [f"{name}: no Service"] if f"Service/{spec['serviceName']}" not in documents else []
            case _:
                continue
        found += [f"{name} chooses other pods"] if not chosen.items() <= labels.items() else []
    return found


def pod_faults(documents: Manifests, pod: dict[str, Any], owner: dict[str, Any]) -> Iterator[str]:
    """Yield what is wrong with one pod."""
    spec = pod["spec"]
    context = spec["securityContext"]
    if (
        not context["runAsNonRoot"]
        or context["runAsUser"] == 0
        or context["seccompProfile"]["type"] != "RuntimeDefault"
    ):
        yield "runs with more rights than it needs"
    if spec["automountServiceAccountToken"] or spec["enableServiceLinks"]:
        yield "is given what it does not need"
    volumes = {volume["name"]: volume for volume in spec.get("volumes", [])}
    claims = {claim["metadata"]["name"] for claim in owner.get("volumeClaimTemplates", [])}
    generated = {each["name"] for each in documents["Kustomization/"]["configMapGenerator"]}
    for volume in volumes.values():
        if "configMap" in volume and volume["configMap"]["name"] not in generated:
            yield f"no ConfigMap {volume['configMap']['name']}"
        if "secret" in volume and volume["secret"]["defaultMode"] & 0o007:
            yield f"everybody may read {volume['name']}"
        claim = volume.get("persistentVolumeClaim", {}).get("claimName")
        if claim is not None and f"PersistentVolumeClaim/{claim}" not in documents:
            yield f"no claim {claim}"
    for container in spec["containers"]:
        commands = [["mdm", *container["args"]]]
        probes = [container[probe] for probe in container if probe.endswith("Probe")]
        commands += [probe["exec"]["command"] for probe in probes if "exec" in probe]
        pages = [probe["httpGet"]["port"] for probe in probes if "httpGet" in probe]
        opened = {port["name"] for port in container.get("ports", [])}
        yield from (f"a probe asks at {page}, which is no port" for page in pages if page not in opened)
        for command in commands:
            yield from faults(shlex.join(command))
        for variable in container["env"]:
            if variable["name"].startswith("MDM_") and variable["name"] not in VARIABLES:
                yield f"{variable['name']} is no setting"
        for mount in container["volumeMounts"]:
            if mount["name"] not in {*volumes, *claims}:
                yield f"no volume {mount['name']}"
        own = container["securityContext"]
        if (
            own["allowPrivilegeEscalation"]
            or not own["readOnlyRootFilesystem"]
            or own["capabilities"] != {"drop": ["ALL"]}
        ):
            yield "a container runs with more rights than it needs"


def test_the_manifests_fit() -> None:
    assert manifest_faults(manifests()) == []


def test_the_settings_of_the_pod_fit_its_volumes_and_ports(project_root: Path) -> None:
    documents = manifests()
    spec = documents["StatefulSet/mdm"]["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    mounts = tuple(mount["mountPath"] for mount in container["volumeMounts"])
    settings = effective("--config", str(FOLDER / "serve.toml"))
    for name in ("data", "tls_certificate", "tls_key", "tls_client_ca"):
        assert str(settings[name]).startswith(mounts), name
    shown = {variable["name"]: variable["value"] for variable in container["env"]}
    assert all(shown[name].startswith(mounts) for name in ("MDM_TLS_CA", "MDM_TLS_CERTIFICATE", "MDM_TLS_KEY"))
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert settings["listen"] == f"0.0.0.0:{ports['grpc']}"
    assert settings["metrics"] == f"0.0.0.0:{ports['metrics']}"
    assert settings["expose_metrics"]
    # Calls under way, what readers may take beyond that, and the writer's clean end.
    assert spec["terminationGracePeriodSeconds"] >= settings["grace_s"] + 5 + 30
    (claim,) = documents["StatefulSet/mdm"]["spec"]["volumeClaimTemplates"]
    assert claim["spec"]["accessModes"] == ["ReadWriteOnce"]
    (generator,) = documents["Kustomization/"]["configMapGenerator"]
    assert generator["files"] == ["serve.toml"]
    assert IMAGE_USER in (project_root / "deploy" / "container" / "Containerfile").read_text(encoding="utf-8")
    user = spec["securityContext"]
    assert f"USER {user['runAsUser']}:{user['runAsGroup']}\n" == IMAGE_USER


def test_a_probe_that_ends_the_pod_does_not_ask_whether_calls_are_served() -> None:
    # While an index is built anew they are not, for longer than any probe waits: ended, it would begin again.
    container = container_of(manifests())
    assert "exec" not in container["livenessProbe"]
    assert "startupProbe" not in container, "one ends the pod, too, and a rebuild takes as long as the city is large"
    assert container["readinessProbe"]["exec"]["command"] == ["mdm", "health"]


def container_of(documents: Manifests) -> dict[str, Any]:
    container: dict[str, Any] = documents["StatefulSet/mdm"]["spec"]["template"]["spec"]["containers"][0]
    return container


@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        (lambda all_: all_["Service/mdm"]["spec"]["selector"].update(app="mdn"), "Service/mdm chooses other pods"),
        (lambda all_: all_["Service/mdm"]["spec"]["ports"][0].update(targetPort="grcp"), "Service/mdm: no port grcp"),
        (lambda all_: all_["StatefulSet/mdm"]["spec"].update(replicas=2), "StatefulSet/mdm: several writers"),
        (lambda all_: all_["StatefulSet/mdm"].update(apiVersion="v1"), "StatefulSet/mdm is not apps/v1"),
        (lambda all_: all_.pop("Service/mdm-pods"), "StatefulSet/mdm: no Service"),
        (lambda all_: container_of(all_)["args"].append("--dat"), "StatefulSet/mdm: mdm serve has no option --dat"),
        (
            lambda all_: container_of(all_)["readinessProbe"]["exec"].update(command=["mdm", "helth"]),
            "StatefulSet/mdm: mdm has no command helth",
        ),
        (
            lambda all_: container_of(all_)["env"][0].update(name="MDM_TLS_CE"),
            "StatefulSet/mdm: MDM_TLS_CE is no setting",
        ),
        (
            lambda all_: container_of(all_)["livenessProbe"]["httpGet"].update(port="metric"),
            "StatefulSet/mdm: a probe asks at metric, which is no port",
        ),
        (lambda all_: container_of(all_)["volumeMounts"][0].update(name="dat"), "StatefulSet/mdm: no volume dat"),
        (
            lambda all_: container_of(all_)["securityContext"].update(readOnlyRootFilesystem=False),
            "StatefulSet/mdm: a container runs with more rights than it needs",
        ),
        (
            lambda all_: all_["StatefulSet/mdm"]["spec"]["template"]["spec"]["volumes"][1]["secret"].update(
                defaultMode=0o444
            ),
            "StatefulSet/mdm: everybody may read tls",
        ),
    ],
)
def test_the_check_finds_what_does_not(spoil: Callable[[Manifests], object], fault: str) -> None:
    documents = copy.deepcopy(manifests())
    spoil(documents)
    assert manifest_faults(documents) == [fault]
