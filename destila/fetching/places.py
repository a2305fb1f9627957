"""Where published data sets can be had, file by file, with their checksums; and what cannot.

Checksums are SHA-256 (`sha256:`), or the name that git gives a file (`git:`), which the tree of a
commit states. A data set without a licence that allows it, or without a public file, is not here:
`NOT_FETCHED` says why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

_RAW = "https://raw.githubusercontent.com"
_ANCORA = f"{_RAW}/UniversalDependencies/UD_Spanish-AnCora/da8e4d8a571e5463be88fe914091d1991080d080"
_TAR = f"{_RAW}/ccasimiro88/TranslateAlignRetrieve/c84784219785c1fc05884b26081d9b7b4156c019"
_XQUAD = f"{_RAW}/google-deepmind/xquad/7d30520c717524000f0d9d2f9c10a069acd9d285"
_FACEBOOK = "https://dl.fbaipublicfiles.com"


@dataclass(frozen=True, slots=True)
class Source:
    """One download.

    url: of a file, or of an archive (.zip, .tar.gz). checksum: of what is downloaded. members: of
    an archive, the files that are taken, all others are left; () for a file of its own name.
    """

    url: str
    checksum: str
    members: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[str, ...]:
        """The names of the files that it gives."""
        names = self.members or (self.url,)
        return tuple(name.rpartition("/")[2] for name in names)


@dataclass(frozen=True, slots=True)
class PublishedData:
    """A data set: its folder under DESTILA_DATA, its licence, and its downloads."""

    folder: str
    licence: str
    sources: tuple[Source, ...] = field(default=())


PLACES: Mapping[str, PublishedData] = {
    "ancora_pos": PublishedData(
        "ud_spanish_ancora",
        "GPL 3.0 (release 2.7, that of the published scores)",
        (
            Source(
                f"{_ANCORA}/es_ancora-ud-train.conllu",
                "git:2a56de67dfea6723d5a6e71bd5e3ada0be8ccea3",
            ),
            Source(
                f"{_ANCORA}/es_ancora-ud-dev.conllu",
                "git:7fd853804e334534871ee7fa8cf849a352e7a7e7",
            ),
            Source(
                f"{_ANCORA}/es_ancora-ud-test.conllu",
                "git:f9fe0869de5c2e804aef303a1fae1894dad1cc0f",
            ),
        ),
    ),
    "mlqa_es": PublishedData(
        "mlqa_es",
        "CC BY-SA 3.0",
        (
            Source(
                f"{_FACEBOOK}/MLQA/MLQA_V1.zip",
                "sha256:246e8089933d13007fe80684d5c5c0713d6834cf8b3b4a0ec7c66f0a0d2baac8",
                (
                    "MLQA_V1/dev/dev-context-es-question-es.json",
                    "MLQA_V1/test/test-context-es-question-es.json",
                ),
            ),
            Source(
                f"{_FACEBOOK}/MLQA/mlqa-translate-train.tar.gz",
                "sha256:e510277b0bc3c0639f53839aba8591aebfe803b8b84c5c2ef0513768b86b7cf9",
                (
                    "mlqa-translate-train/es_squad-translate-train-train-v1.1.json",
                    "mlqa-translate-train/es_squad-translate-train-dev-v1.1.json",
                ),
            ),
        ),
    ),
    "paws_x": PublishedData(
        "paws_x_es",
        "free for any purpose, credit to Google",
        (
            Source(
                "https://storage.googleapis.com/paws/pawsx/x-final.tar.gz",
                "sha256:4146db499101d66e68ae4c8ed3cf9dadecd625f44b7d8cf3d4a0fe93afc4fd9f",
                (
                    "x-final/es/translated_train.tsv",
                    "x-final/es/dev_2k.tsv",
                    "x-final/es/test_2k.tsv",
                ),
            ),
        ),
    ),
    "squad_es": PublishedData(
        "squad_es_tar",
        "CC BY 4.0",
        (
            Source(
                f"{_TAR}/SQuAD-es-v1.1/train-v1.1-es.json",
                "git:d1275fc9df544a9614ea6ba5f4feac93402ae8c1",
            ),
            Source(
                f"{_TAR}/SQuAD-es-v1.1/dev-v1.1-es.json",
                "git:52b8a0bc0d994d7e685e725d2d0e32201d5ca31b",
            ),
        ),
    ),
    "xnli_es": PublishedData(
        "xnli_es",
        "CC BY-NC 4.0",
        (
            Source(
                f"{_FACEBOOK}/XNLI/XNLI-1.0.zip",
                "sha256:4ba1d5e1afdb7161f0f23c66dc787802ccfa8a25a3ddd3b165a35e50df346ab1",
                ("XNLI-1.0/xnli.dev.tsv", "XNLI-1.0/xnli.test.tsv"),
            ),
            Source(
                f"{_FACEBOOK}/XNLI/XNLI-MT-1.0.zip",
                "sha256:f732517ba2fb1d550e9f3c2aabaef6017c91ee2dcec90e878f138764d224db05",
                ("XNLI-MT-1.0/multinli/multinli.train.es.tsv",),
            ),
        ),
    ),
    "xquad_es": PublishedData(
        "xquad_es",
        "CC BY-SA 4.0",
        (Source(f"{_XQUAD}/xquad.es.json", "git:7eb7791d26ca030581fe57079f6df864a012ead1"),),
    ),
}
"""By the names of data sets."""

NOT_FETCHED: Mapping[str, str] = {
    "conll2002": "it states no licence: ask for the files of the shared task (esp.train, "
    "esp.testa, esp.testb)",
    "mldoc": "its text is licensed: ask NIST for Reuters RCV2 and run the MLDoc generator",
    "sqac": 'its files were on the hub: try data.root = "hub:PlanTL-GOB-ES/SQAC"',
}
"""Published data sets that are not fetched, and how they can be had."""


def how_to_get(name: str, where: str) -> str:
    """Return where the files of a data set are; of absent ones ("not here"), how to get them."""
    if not where.startswith("not here"):
        return where
    if name in PLACES:
        return f"{where}; destila fetch {name}"
    return f"{where}; {NOT_FETCHED[name]}" if name in NOT_FETCHED else where
