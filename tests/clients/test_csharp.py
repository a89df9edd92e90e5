"""The C# client, compiled by Debian's mcs: with what protoc generates and the C# half of protoc's own source.

gRPC for .NET is not in Debian: its part is signatures, `csharp/Surface.cs`, and client stubs as its generator writes
them. So what the client says of messages, fields and calls is checked by a compiler; that it runs is not.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor

from tests.clients.programs import CHECKS
from tests.protos.interface import FILES

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

# -warn:0: generated code uses deprecated names.
MCS = ["mcs", "-langversion:latest", "-unsafe", "-warn:0", "-target:library", "-r:System.Core.dll"]
DOES = " => throw new System.NotSupportedException();"


def stub_call(method: MethodDescriptor) -> str:
    """Return the blocking call, or the stream, of a generated client."""
    answer = method.output_type.name
    if method.server_streaming:
        answer = f"Grpc.Core.AsyncServerStreamingCall<{answer}>"
    options = "Grpc.Core.Metadata headers = null, System.DateTime? deadline = null"
    options += ", System.Threading.CancellationToken cancellationToken = default"
    return f"public {answer} {method.name}({method.input_type.name} request, {options}){DOES}"


def stub(service: ServiceDescriptor) -> str:
    """Return the generated client of a service, without streams of requests."""
    calls = [stub_call(method) for method in service.methods if not method.client_streaming]
    made = f"public {service.name}Client(Grpc.Core.CallInvoker invoker){DOES}"
    return f"public static class {service.name} {{ public class {service.name}Client {{ {made} {' '.join(calls)} }} }}"


def compile_csharp(target: Path, sources: Iterable[Path], *options: str) -> subprocess.CompletedProcess[str]:
    """Compile sources to a library."""
    return subprocess.run([*MCS, f"-out:{target}", *options, *sources], capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory, project_root: Path) -> Path:
    """What the client stands on: messages, stubs, Google.Protobuf and the signatures."""
    root = tmp_path_factory.mktemp("csharp")
    setup = [project_root / "tests/clients/csharp/setup.sh", root]
    result = subprocess.run(setup, capture_output=True, text=True, check=False)
    if result.returncode:
        pytest.skip(f"skipped the C# client: {result.stderr.strip()}")
    descriptors, generated = root / "descriptors.binpb", root / "generated"
    generated.mkdir()
    subprocess.run([sys.executable, project_root / "scripts/plain_descriptors.py", descriptors], check=True)
    protos = [path.relative_to(project_root / "protos") for path in project_root.glob("protos/*/*/*.proto")]
    protos = [path for path in protos if path.parts[0] != "buf"]
    command = ["protoc", f"--descriptor_set_in={descriptors}", f"--csharp_out={generated}", *map(str, protos)]
    subprocess.run(command, check=True)
    services = [service for file in FILES for service in file.services_by_name.values()]
    stubs = "\n".join(stub(service) for service in services)
    (generated / "Stubs.cs").write_text(f"namespace HcmMdm.V1 {{\n{stubs}\n}}\n", encoding="utf-8")
    runtime = sorted(root.rglob("csharp/src/Google.Protobuf/**/*.cs"))
    # mcs takes the aliases of a class in parts from the part that it reads first: the generated one has them.
    runtime.sort(key=lambda path: path.name != "Descriptor.cs")
    surface = project_root / "tests/clients/csharp/Surface.cs"
    target = root / "library.dll"
    compiled = compile_csharp(target, [*runtime, surface, *sorted(generated.glob("*.cs"))])
    assert compiled.returncode == 0, compiled.stdout + compiled.stderr
    return target


def sources(project_root: Path) -> Iterator[Path]:
    return (project_root / "clients/csharp").glob("*.cs")


def test_the_csharp_client_compiles(library: Path, project_root: Path, tmp_path: Path) -> None:
    compiled = compile_csharp(tmp_path / "client.dll", sources(project_root), f"-r:{library}")
    assert compiled.returncode == 0, compiled.stdout + compiled.stderr


@pytest.mark.parametrize(
    ("named", "misnamed"),
    [
        ("GoldenIds", "GoldenIdList"),  # a column of an answer
        ("CheckpointIntervalS", "CheckpointSeconds"),  # a field of a request
        ("WatchStart.Beginning", "WatchStart.First"),  # a value of an enumeration
        ("BatchLookup(", "LookupBatch("),  # a call
        ("RetryDelay", "Delay"),  # a detail of an error
        ("FindFieldByName", "FieldByName"),  # Google.Protobuf itself
    ],
)
def test_a_wrong_name_does_not_compile(
    library: Path, project_root: Path, tmp_path: Path, named: str, misnamed: str
) -> None:
    changed = 0
    for source in sources(project_root):
        text = source.read_text(encoding="utf-8")
        changed += text.count(named)
        (tmp_path / source.name).write_text(text.replace(named, misnamed), encoding="utf-8")
    assert changed
    compiled = compile_csharp(tmp_path / "client.dll", tmp_path.glob("*.cs"), f"-r:{library}")
    assert compiled.returncode, f"{misnamed} compiled"
    assert misnamed.strip("(").rpartition(".")[2] in compiled.stderr + compiled.stdout


def test_the_csharp_client_checks_what_the_others_do(project_root: Path) -> None:
    program = (project_root / "clients/csharp/Program.cs").read_text(encoding="utf-8")
    assert sorted(re.findall(r'Check\("([^"]+)"', program)) == sorted(CHECKS)


def test_the_project_pins_its_packages(project_root: Path) -> None:
    project = (project_root / "clients/csharp/HcmMdm.Client.csproj").read_text(encoding="utf-8")
    versions = re.findall(r'<PackageReference Include="[\w.]+" Version="(.*?)"', project)
    assert len(versions) == 3
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in versions)
