"""Downloads through the real client from a local Kaggle: whole, checked, cached, whatever happens on the way."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import pytest

from orchestrator.competitions.kaggle.archives import ArchiveRefused
from orchestrator.competitions.kaggle.cache import cache_home, cached
from orchestrator.competitions.kaggle.errors import NeedsPerson, NotThere, TryLater
from orchestrator.errors import BadInput
from tests.competitions.kaggle.shop import STORAGE, Shop, everything


class TestWhole:
    def test_everything_arrives_in_its_place_once(self, shop: Shop) -> None:
        assert shop.fetch() == shop.expected and shop.notes == []
        before = shop.server.count(STORAGE)
        assert shop.fetch() == shop.expected
        assert shop.server.count(STORAGE) == before and shop.server.leaks() == []
        assert sorted(path.name[:5] for path in (shop.root / shop.slug).iterdir()) == ["data-", "lock"]

    def test_a_new_listing_is_a_new_download(self, shop: Shop) -> None:
        shop.fetch()
        (shop.data / "test.csv").write_bytes(b"id\n1\n")
        assert shop.fetch() == {**shop.expected, "test.csv": b"id\n1\n"}
        assert len(list((shop.root / shop.slug).glob("data-*"))) == 1

    def test_one_file_alone_may_come_as_it_is(self, shop: Shop) -> None:
        shutil.rmtree(shop.data)
        shop.data.mkdir()
        (shop.data / "train.csv").write_bytes(b"id,y\n1,2\n")
        shop.server.competition(shop.slug, archive=str(shop.data / "train.csv"))
        assert shop.fetch() == {"train.csv": b"id,y\n1,2\n"}

    def test_a_tar_instead_of_a_zip(self, shop: Shop, tmp_path: Path) -> None:
        made = shutil.make_archive(str(tmp_path / "all"), "gztar", shop.data)
        shop.server.competition(shop.slug, archive=made)
        assert shop.fetch() == shop.expected

    def test_what_is_cached_needs_no_network(self, shop: Shop) -> None:
        shop.fetch()
        found = cached(shop.root / shop.slug)
        assert found is not None and everything(found.folder) == shop.expected
        assert cached(shop.root) is None


class TestBadDays:
    def test_a_cut_connection_is_gone_on_with(self, shop: Shop) -> None:
        shop.server.fault(STORAGE, {"kind": "cut", "at": 3_000_000}, {"kind": "cut", "at": 2_000_000})
        assert shop.fetch() == shop.expected
        assert [entry["status"] for entry in shop.server.log(STORAGE)[-2:]] == [206, 206]

    def test_a_slow_download_takes_several_slices(self, shop: Shop) -> None:
        shop.server.settings(storage_bytes_per_s=1_000_000)
        assert shop.fetch(slice_s=2.5) == shop.expected
        assert any("are here; going on" in line for line in shop.said)
        assert 206 in [entry["status"] for entry in shop.server.log(STORAGE)]

    def test_a_signed_url_that_expires_on_the_way(self, shop: Shop) -> None:
        shop.server.fault(STORAGE, {"kind": "cut", "at": 3_000_000}, {"kind": "expire"})
        assert shop.fetch() == shop.expected

    def test_a_body_that_is_too_short(self, shop: Shop) -> None:
        shop.server.fault(STORAGE, {"kind": "short", "at": 3_000_000})
        assert shop.fetch() == shop.expected
        assert any("damaged" in line and "downloading again" in line for line in shop.said)

    def test_a_compressed_body(self, shop: Shop) -> None:
        shop.server.fault(STORAGE, {"kind": "gzip"})
        assert shop.fetch() == shop.expected

    @pytest.mark.parametrize("kind", ["html", "empty", "disconnect", "error"])
    def test_trouble_at_first(self, shop: Shop, kind: str) -> None:
        shop.server.fault("DownloadDataFiles", {"kind": kind}, {"kind": kind})
        assert shop.fetch() == shop.expected

    def test_no_end_of_trouble(self, shop: Shop) -> None:
        shop.server.fault("DownloadDataFiles", {"kind": "error", "status": 503}, always=True)
        with pytest.raises(TryLater, match="503"):
            shop.fetch()
        shop.server.control("clear")
        assert shop.fetch() == shop.expected

    def test_slow_down_for_an_hour_is_not_waited_for(self, shop: Shop) -> None:
        shop.server.fault("DownloadDataFiles", {"kind": "error", "status": 429, "retry_after": 3600})
        with pytest.raises(TryLater) as caught:
            shop.fetch()
        assert caught.value.after_s == 3600

    def test_rules_that_are_not_accepted(self, shop: Shop) -> None:
        shop.server.competition(shop.slug, rules_accepted=False)
        with pytest.raises(NeedsPerson, match=rf"https://www\.kaggle\.com/competitions/{shop.slug}/rules"):
            shop.fetch()
        shop.server.competition(shop.slug, rules_accepted=True)
        assert shop.fetch() == shop.expected

    def test_no_archive_of_all(self, shop: Shop) -> None:
        refusal = {"kind": "error", "status": 404, "message": "Too large to download at once"}
        shop.server.fault("DownloadDataFiles", refusal, always=True)
        assert shop.fetch() == shop.expected
        assert shop.server.count("DownloadDataFile") >= len(shop.files)

    def test_an_archive_that_lacks_files(self, shop: Shop, tmp_path: Path) -> None:
        with zipfile.ZipFile(tmp_path / "part.zip", "w") as archive:
            archive.writestr("train.csv", shop.files["train.csv"])
        shop.server.competition(shop.slug, archive=str(tmp_path / "part.zip"))
        assert shop.fetch() == shop.expected

    def test_other_sizes_than_listed(self, shop: Shop, tmp_path: Path) -> None:
        with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
            for name, data in shop.files.items():
                archive.writestr(name, data + b"\n" * (name == "test.csv"))
        shop.server.competition(shop.slug, archive=str(tmp_path / "other.zip"))
        assert shop.fetch()["test.csv"] == shop.files["test.csv"] + b"\n"
        assert shop.notes == ["test.csv has 100,001 bytes where Kaggle lists 100,000: twice, so it is taken as it came"]

    def test_a_hostile_archive(self, shop: Shop, tmp_path: Path) -> None:
        with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
            archive.writestr("../../evil", b"evil")
        shop.server.competition(shop.slug, archive=str(tmp_path / "evil.zip"))
        assert shop.fetch() == shop.expected  # one by one
        assert not list(tmp_path.rglob("evil"))
        assert any("leads out" in line for line in shop.said)

    def test_a_hostile_listing(self, shop: Shop, tmp_path: Path) -> None:
        shop.server.competition(shop.slug, names={"../../evil": str(shop.data / "test.csv")})
        with pytest.raises(ArchiveRefused, match="leads out"):
            shop.fetch()
        assert not list(tmp_path.rglob("evil"))

    def test_no_files(self, shop: Shop) -> None:
        shop.server.competition(shop.slug, folder="")
        with pytest.raises(NotThere, match="no data files"):
            shop.fetch()

    def test_a_disk_that_is_too_small(self, shop: Shop) -> None:
        shop.server.fault("ListDataFiles", {"kind": "set", "values": {"files": [
            {"ref": "train.csv", "name": "train.csv", "totalBytes": 1 << 50, "creationDate": "2024-01-01T00:00:00Z"}
        ]}})  # fmt: skip
        with pytest.raises(BadInput, match="XDG_CACHE_HOME"):
            shop.fetch()


def test_where_the_cache_is() -> None:
    assert cache_home({"HOME": "/home/ada"}) == Path("/home/ada/.cache/autokaggle/kaggle")
    assert cache_home({"HOME": "/home/ada", "XDG_CACHE_HOME": "/big"}) == Path("/big/autokaggle/kaggle")
    assert cache_home({"HOME": "/home/ada", "XDG_CACHE_HOME": "relative"}) == cache_home({"HOME": "/home/ada"})
