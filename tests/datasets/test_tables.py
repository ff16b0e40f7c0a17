"""Public tables: out of their originals, from a folder, by a download, and what faults lead to."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pyro_mnar.datasets import load_table
from pyro_mnar.datasets.files import SourceFile
from pyro_mnar.datasets.tables import TABLES, sample_rows
from pyro_mnar.errors import ChecksumError, DatasetError, DownloadError, InvalidInputError
from tests.support.server import Handler, Server, serving

BIKE = (
    "Date,Rented Bike Count,Hour,Temperature(°C),Humidity(%),Wind speed (m/s),Visibility (10m),"
    "Dew point temperature(°C),Solar Radiation (MJ/m2),Rainfall(mm),Snowfall (cm),Seasons,Holiday,Functioning Day\r\n"
    "01/12/2017,254,0,-5.2,37,2.2,2000,-17.6,0,0,0,Winter,No Holiday,Yes\r\n"
    "25/12/2017,9,1,0.5,40,0.5,1900,-9.1,0.01,0,1,Autumn,Holiday,No\r\n"
)
HOUSING = (
    "longitude,latitude,housing_median_age,total_rooms,total_bedrooms,population,households,median_income,"
    "median_house_value,ocean_proximity\n"
    "-122.23,37.88,41.0,880.0,129.0,322.0,126.0,8.3252,452600.0,NEAR BAY\n"
    "-122.16,37.77,47.0,1256.0,,570.0,218.0,4.375,161900.0,NEAR BAY\n"
    "-121.24,39.37,16.0,2785.0,616.0,1387.0,530.0,2.3886,89400.0,<1H OCEAN\n"
)
ADULT = (
    "39, State-gov, 77516, Bachelors, 13, Never-married, Adm-clerical, Not-in-family, White, Male, 2174, 0, 40, "
    "United-States, <=50K\n"
    "54, ?, 180211, Some-college, 10, Married-civ-spouse, ?, Husband, Asian-Pac-Islander, Male, 0, 0, 60, South, >50K\n"
    "\n"
)
CMC = "24,2,3,3,1,1,2,3,0,1\n45,1,3,10,1,1,3,4,0,1\n"
#: Rows in the format of each original: its text, the column to look at, and what that has to hold.
TEXTS: dict[str, tuple[bytes, dict[str, list[object]]]] = {
    "adult": (
        ADULT.encode(),
        {"age": [39, 54], "workclass": ["State-gov", None], "native_country": ["United-States", "South"]},
    ),
    "airfoil": (
        b"800\t0\t0.3048\t71.3\t0.00266337\t126.201\r\n1000\t1.5\t0.3048\t71.3\t0.00266337\t125.201\r\n",
        {"frequency_hz": [800, 1000], "angle_of_attack_deg": [0.0, 1.5], "sound_pressure_db": [126.201, 125.201]},
    ),
    "bike": (
        BIKE.encode("latin-1"),
        {
            "Rented Bike Count": [254, 9],
            "Temperature(C)": [-5.2, 0.5],
            "Dew point temperature(C)": [-17.6, -9.1],
            "Seasons": [3, 0],
            "Holiday": [1, 0],
            "Functioning Day": [1, 0],
        },
    ),
    "california": (
        HOUSING.encode(),
        {"total_bedrooms": [129.0, 616.0], "ocean_proximity": ["NEAR BAY", "<1H OCEAN"]},
    ),
    "cmc": (CMC.encode(), {"wife_age": [24, 45], "children": [3, 10], "method": [1, 1]}),
    "health": (
        "\N{ZERO WIDTH NO-BREAK SPACE}Age,SystolicBP,DiastolicBP,BS,BodyTemp,HeartRate,RiskLevel\r\n"
        "25,130,80,15,98,86,high risk\r\n29,90,70,6.8,98,80,low risk\r\n30,120,80,6.9,101,76,mid risk\r\n".encode(),
        {"Age": [25, 29, 30], "BS": [15.0, 6.8, 6.9], "RiskLevel": [0, 1, 2]},
    ),
}


def _sheet(rows: list[list[object]]) -> str:
    cells = "".join(
        "<row>"
        + "".join(
            f'<c t="inlineStr"><is><t>{value}</t></is></c>' if isinstance(value, str) else f"<c><v>{value}</v></c>"
            for value in row
        )
        + "</row>"
        for row in rows
    )
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    return f'<worksheet xmlns="{main}"><sheetData>{cells}</sheetData></worksheet>'


def _workbook(path: Path, sheets: list[list[list[object]]]) -> None:
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    numbers = range(1, len(sheets) + 1)
    listed = "".join(f'<sheet name="Sheet{k}" sheetId="{k}" r:id="r{k}"/>' for k in numbers)
    related = "".join(
        f'<Relationship Id="r{k}" Type="{office}/worksheet" Target="worksheets/sheet{k}.xml"/>' for k in numbers
    )
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(
            "[Content_Types].xml",
            f'<Types xmlns="{package}/content-types"><Default Extension="xml" ContentType="{kind}.sheet.main+xml"/>'
            "</Types>",
        )
        file.writestr(
            "_rels/.rels",
            f'<Relationships xmlns="{package}/relationships"><Relationship Id="r1" Type="{office}/officeDocument" '
            'Target="xl/workbook.xml"/></Relationships>',
        )
        file.writestr(
            "xl/workbook.xml",
            '<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" '
            f'xmlns:r="{office}"><sheets>{listed}</sheets></workbook>',
        )
        file.writestr(
            "xl/_rels/workbook.xml.rels",
            f'<Relationships xmlns="{package}/relationships">{related}</Relationships>',
        )
        for k, rows in zip(numbers, sheets, strict=True):
            file.writestr(f"xl/worksheets/sheet{k}.xml", _sheet(rows))


@pytest.mark.parametrize("name", TEXTS)
def test_rows_in_the_format_of_an_original(name: str, tmp_path: Path) -> None:
    content, held = TEXTS[name]
    path = tmp_path / TABLES[name].file.name
    path.write_bytes(content)
    table = TABLES[name].read(path)
    assert table.shape == (len(next(iter(held.values()))), TABLES[name].shape[1])
    assert table.index.tolist() == list(range(len(table)))
    for column, values in held.items():
        assert [None if pd.isna(value) else value for value in table[column]] == values
        assert table[column].dtype.kind == np.array([value for value in values if value is not None]).dtype.kind or (
            isinstance(values[0], str)
        )


def test_the_first_rows_of_adult_are_taken(tmp_path: Path) -> None:
    path = tmp_path / "adult.data"
    path.write_text(ADULT.splitlines()[0] + "\n", encoding="utf-8")
    path.write_text(path.read_text() * 20_001, encoding="utf-8")
    assert TABLES["adult"].read(path).shape == TABLES["adult"].shape


def test_the_fifth_sheet_of_power_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "Folds5x2_pp.xlsx"
    _workbook(path, [[["AT", "V", "AP", "RH", "PE"], [k, 41.76, 1024.07, 73.17, 463.26]] for k in range(1, 6)])
    table = TABLES["power"].read(path)
    assert table.to_numpy().tolist() == [[5.0, 41.76, 1024.07, 73.17, 463.26]]
    assert table.columns[0] == "temperature_c" and table.columns[-1] == "energy_output_mw"


class _Handler(Handler):
    """Serve the few rows of cmc."""

    def do_GET(self) -> None:
        self.server.seen.append(self.path)
        self.send_response(200)
        self.send_header("Content-Length", str(len(CMC)))
        self.end_headers()
        self.wfile.write(CMC.encode())


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with serving(_Handler, monkeypatch) as server:
        yield server


def _sum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


HEADER = (
    "wife_age,wife_education,husband_education,children,wife_religion,wife_working,husband_occupation,living_standard,"
    "media_exposure,method\n"
)
Small = Callable[..., str]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Small:
    """Let cmc be a table of two rows, served at an address."""

    def make(address: str = "https://example.invalid/cmc.data", written: str = HEADER + CMC) -> str:
        file = SourceFile("cmc.data", _sum(CMC), (address,))
        monkeypatch.setitem(TABLES, "cmc", replace(TABLES["cmc"], file=file, sha256=_sum(written), shape=(2, 10)))
        return "cmc"

    return make


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Name no folder, and put the cache into one of the test's."""
    monkeypatch.delenv("PYRO_MNAR_DATA", raising=False)
    monkeypatch.setattr("pooch.os_cache", lambda project: tmp_path / project)
    return tmp_path / "pyro_mnar"


def test_an_original_is_downloaded_once(small: Small, server: Server, cache: Path) -> None:
    name = small(f"{server.address}/cmc.data")
    for _ in range(2):
        table = load_table(name)
        assert table["wife_age"].tolist() == [24, 45] and table.shape == (2, 10)
    assert server.seen == ["/cmc.data"]
    assert (cache / "cmc.data").read_text() == CMC


@pytest.mark.usefixtures("cache")
def test_what_comes_out_of_an_original_is_checked(small: Small, server: Server) -> None:
    name = small(f"{server.address}/cmc.data", written="another table")
    with pytest.raises(ChecksumError, match=r"cmc.data holds a table of shape \(2, 10\) with sha256"):
        load_table(name)


@pytest.mark.usefixtures("cache")
def test_without_a_network_the_error_says_what_to_do(small: Small, server: Server) -> None:
    name = small(f"{server.address}/cmc.data")
    server.shutdown()
    server.server_close()
    with pytest.raises(DownloadError, match=r"fetch http.*cmc.data by other means and name its folder in PYRO_MNAR"):
        load_table(name)


@pytest.mark.parametrize("inner", ["", "tables"])
@pytest.mark.parametrize(("file", "content"), [("cmc.csv", HEADER + CMC), ("cmc.data", CMC)])
def test_a_folder_needs_no_extra(
    small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inner: str, file: str, content: str
) -> None:
    for module in ("pooch", "requests", "requests.exceptions"):
        monkeypatch.setitem(sys.modules, module, None)
    (tmp_path / inner).mkdir(exist_ok=True)
    (tmp_path / inner / file).write_text(content)
    expected = load_table(small(), data_home=tmp_path)
    assert expected["children"].tolist() == [3, 10]
    monkeypatch.setenv("PYRO_MNAR_DATA", str(tmp_path))
    pd.testing.assert_frame_equal(load_table("cmc"), expected)
    monkeypatch.delenv("PYRO_MNAR_DATA")
    with pytest.raises(DatasetError, match=r"read with pooch, which is not installed: .*pyro-mnar\[studies\]"):
        load_table("cmc")


def test_nothing_of_the_extra_is_imported_with_the_room() -> None:
    program = (
        "import sys, pyro_mnar.datasets\n"
        "print(sorted({'pooch', 'requests', 'python_calamine', 'pyro_mnar.studies'} & set(sys.modules)))"
    )
    root = Path(__file__).resolve().parents[2]
    run = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("file", "content", "named"),
    [
        ("cmc.csv", HEADER + CMC.replace("45", "46"), r"cmc.csv holds a table .*damaged or another version; put https"),
        ("cmc.csv", HEADER + CMC + "45,1,3,10,1,1,3,4,0,1,9\n", r"cmc.csv is not the table cmc .*; put https"),
        ("cmc.csv", "", r"cmc.csv is not the table cmc .*; put https"),
        ("cmc.data", CMC[:-2], r"cmc.data has sha256 .*replace it by https"),
    ],
)
def test_a_file_that_is_another_is_named(small: Small, tmp_path: Path, file: str, content: str, named: str) -> None:
    (tmp_path / file).write_text(content)
    with pytest.raises(ChecksumError, match=named) as caught:
        load_table(small(), data_home=tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", TABLES)
def test_a_folder_without_the_file_says_what_to_put_there(name: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=rf"neither {name}.csv nor .* is in .*: put https://.* there, or unset PYRO"):
        load_table(name, data_home=tmp_path)


def test_a_slip_in_a_copy_of_adult_is_put_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = tmp_path / "adult.data"
    original.write_text(ADULT)
    table = TABLES["adult"].read(original)
    written = table.to_csv(index=False, na_rep="?", lineterminator="\n")
    monkeypatch.setitem(TABLES, "adult", replace(TABLES["adult"], sha256=_sum(written)))
    (tmp_path / "adult.csv").write_text(written.replace("Never-married", "Never-mwarried"))
    pd.testing.assert_frame_equal(load_table("adult", data_home=tmp_path), table)


def test_rows_are_the_same_each_time(small: Small, tmp_path: Path) -> None:
    rows = "".join(f"{age},2,3,3,1,1,2,3,0,1\n" for age in range(16, 50))
    (tmp_path / "cmc.csv").write_text(HEADER + rows)
    name = small(written=HEADER + rows)
    whole, part = load_table(name, data_home=tmp_path), load_table(name, 5, tmp_path)
    pd.testing.assert_frame_equal(part, sample_rows(whole, 5))
    assert part.index.tolist() == [0, 1, 2, 3, 4] and part["wife_age"].is_monotonic_increasing
    assert set(part["wife_age"]) < set(whole["wife_age"]) and part["wife_age"].tolist() != [16, 17, 18, 19, 20]
    pd.testing.assert_frame_equal(load_table(name, rows=99, data_home=tmp_path), whole)


def test_an_unknown_name_lists_the_names() -> None:
    with pytest.raises(InvalidInputError, match=r"'iris'; it must be 'adult', 'airfoil', .* or 'power'"):
        load_table("iris")


def test_every_table_has_an_original_with_a_checksum_and_two_addresses() -> None:
    for known in TABLES.values():
        assert len(bytes.fromhex(known.file.sha256)) == len(bytes.fromhex(known.sha256)) == 32
        assert len(known.file.addresses) == 2 and all(a.startswith("https://") for a in known.file.addresses)


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_as_it_was_published(name: str, data_folder: Path) -> None:
    table, known = load_table(name, data_home=data_folder), TABLES[name]
    assert table.shape == known.shape
    assert known.licence and known.citation and known.original.startswith("http")
    assert table.isna().to_numpy().any() == (name == "adult")
    text = {"adult": 9, "california": 1}.get(name, 0)
    assert len(table.columns) - len(table.select_dtypes("number").columns) == text


@pytest.mark.parametrize("name", TABLES)
def test_an_original_gives_the_same_table_as_the_csv(name: str, data_folder: Path, tmp_path: Path) -> None:
    file = TABLES[name].file.name
    original = next((f for f in (data_folder / file, data_folder / "tables" / file) if f.is_file()), None)
    if original is None:
        pytest.skip(f"{file} is not in the folder with the data files")
    (tmp_path / file).symlink_to(original)
    pd.testing.assert_frame_equal(load_table(name, data_home=tmp_path), load_table(name, data_home=data_folder))
