"""The publications that codes cite, with their BibTeX entries."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Paper:
    """A publication: how a table names it, and its BibTeX entry."""

    short: str
    bibtex: str


def _paper(key: str, kind: str, short: str, **fields: str) -> Paper:
    lines = "".join(f"  {name:<9} = {{{value}}},\n" for name, value in fields.items())
    return Paper(short, f"@{kind}{{{key},\n{lines}}}")


PAPERS: dict[str, Paper] = {
    "kofn": _paper(
        "kofn", "software", "kofn",
        author="{The kofn authors}",
        title="{kofn}: exact from any k of n results, and the best estimate before that",
        year="2026",
    ),
    "wang2019": _paper(
        "wang2019", "article", "Wang et al. 2019",
        author="Wang, Da and Joshi, Gauri and Wornell, Gregory W.",
        title="Efficient Straggler Replication in Large-Scale Parallel Computing",
        journal="ACM Transactions on Modeling and Performance Evaluation of Computing Systems",
        volume="4", number="2", pages="1--23", year="2019",
    ),
    "lee2018": _paper(
        "lee2018", "article", "Lee et al. 2018",
        author="Lee, Kangwook and Lam, Maximilian and Pedarsani, Ramtin and Papailiopoulos, Dimitris"
        " and Ramchandran, Kannan",
        title="Speeding Up Distributed Machine Learning Using Codes",
        journal="IEEE Transactions on Information Theory",
        volume="64", number="3", pages="1514--1529", year="2018",
    ),
    "yu2017": _paper(
        "yu2017", "inproceedings", "Yu et al. 2017",
        author="Yu, Qian and Maddah-Ali, Mohammad and Avestimehr, Salman",
        title="Polynomial Codes: An Optimal Design for High-Dimensional Coded Matrix Multiplication",
        booktitle="Advances in Neural Information Processing Systems",
        volume="30", pages="4406--4416", year="2017",
    ),
    "dutta2020": _paper(
        "dutta2020", "article", "Dutta et al. 2020",
        author="Dutta, Sanghamitra and Fahim, Mohammad and Haddadpour, Farzin and Jeong, Haewon"
        " and Cadambe, Viveck and Grover, Pulkit",
        title="On the Optimal Recovery Threshold of Coded Matrix Multiplication",
        journal="IEEE Transactions on Information Theory",
        volume="66", number="1", pages="278--301", year="2020",
    ),
    "fahim2021": _paper(
        "fahim2021", "article", "Fahim, Cadambe 2021",
        author="Fahim, Mohammad and Cadambe, Viveck R.",
        title="Numerically Stable Polynomially Coded Computing",
        journal="IEEE Transactions on Information Theory",
        volume="67", number="5", pages="2758--2785", year="2021",
    ),
    "tegin2022": _paper(
        "tegin2022", "article", "Tegin et al. 2022",
        author="Tegin, Busra and Hernandez, Eduin E. and Rini, Stefano and Duman, Tolga M.",
        title="Straggler Mitigation Through Unequal Error Protection for Distributed Approximate Matrix"
        " Multiplication",
        journal="IEEE Journal on Selected Areas in Communications",
        volume="40", number="2", year="2022",
    ),
    "vukobratovic2012": _paper(
        "vukobratovic2012", "article", "Vukobratović, Stanković 2012",
        author="Vukobratovi{\\'c}, Dejan and Stankovi{\\'c}, Vladimir",
        title="Unequal Error Protection Random Linear Coding Strategies for Erasure Channels",
        journal="IEEE Transactions on Communications",
        volume="60", number="5", pages="1243--1252", year="2012",
    ),
    "tandon2017": _paper(
        "tandon2017", "inproceedings", "Tandon et al. 2017",
        author="Tandon, Rashish and Lei, Qi and Dimakis, Alexandros G. and Karampatziakis, Nikos",
        title="Gradient Coding: Avoiding Stragglers in Distributed Learning",
        booktitle="Proceedings of the 34th International Conference on Machine Learning",
        pages="3368--3376", year="2017",
    ),
    "li2018": _paper(
        "li2018", "inproceedings", "Li et al. 2018",
        author="Li, Songze and Mousavi Kalan, Seyed Mohammadreza and Avestimehr, A. Salman"
        " and Soltanolkotabi, Mahdi",
        title="Near-Optimal Straggler Mitigation for Distributed Gradient Methods",
        booktitle="IEEE International Parallel and Distributed Processing Symposium Workshops",
        pages="857--866", year="2018",
    ),
    "luby2002": _paper(
        "luby2002", "inproceedings", "Luby 2002",
        author="Luby, Michael",
        title="{LT} Codes",
        booktitle="Proceedings of the 43rd Annual IEEE Symposium on Foundations of Computer Science",
        pages="271--280", year="2002",
    ),
    "mallick2021": _paper(
        "mallick2021", "inproceedings", "Mallick et al. 2021",
        author="Mallick, Ankur and Smith, Sophie and Joshi, Gauri",
        title="Rateless Codes for Distributed Non-Linear Computations",
        booktitle="International Symposium on Topics in Coding",
        year="2021",
    ),
    "mallick2022": _paper(
        "mallick2022", "inproceedings", "Mallick, Joshi 2022",
        author="Mallick, Ankur and Joshi, Gauri",
        title="Rateless Sum-Recovery Codes for Distributed Non-Linear Computations",
        booktitle="IEEE Information Theory Workshop",
        year="2022",
    ),
    "yu2019": _paper(
        "yu2019", "inproceedings", "Yu et al. 2019",
        author="Yu, Qian and Li, Songze and Raviv, Netanel and Kalan, Seyed Mohammadreza Mousavi"
        " and Soltanolkotabi, Mahdi and Avestimehr, Salman",
        title="Lagrange Coded Computing: Optimal Design for Resiliency, Security, and Privacy",
        booktitle="International Conference on Artificial Intelligence and Statistics",
        pages="1215--1225", year="2019",
    ),
    "jahani2023": _paper(
        "jahani2023", "article", "Jahani-Nezhad, Maddah-Ali 2023",
        author="Jahani-Nezhad, Tayyebeh and Maddah-Ali, Mohammad Ali",
        title="Berrut Approximated Coded Computing: Straggler Resistance Beyond Polynomial Computing",
        journal="IEEE Transactions on Pattern Analysis and Machine Intelligence",
        volume="45", number="1", pages="111--122", year="2023",
    ),
    "moradi2024": _paper(
        "moradi2024", "inproceedings", "Moradi et al. 2024",
        author="Moradi, Parsa and Tahmasebi, Behrooz and Maddah-Ali, Mohammad Ali",
        title="Coded Computing for Resilient Distributed Computing: A Learning-Theoretic Framework",
        booktitle="Advances in Neural Information Processing Systems", volume="37", year="2024",
    ),
    "kosaian2019": _paper(
        "kosaian2019", "inproceedings", "Kosaian et al. 2019",
        author="Kosaian, Jack and Rashmi, K. V. and Venkataraman, Shivaram",
        title="Parity Models: Erasure-Coded Resilience for Prediction Serving Systems",
        booktitle="ACM Symposium on Operating Systems Principles", pages="30--46", year="2019",
    ),
    "agrawal2022": _paper(
        "agrawal2022", "inproceedings", "Agrawal et al. 2022",
        author="Agrawal, Navneet and Qiu, Yuqin and Frey, Matthias and Bjelakovic, Igor and Maghsudi, Setareh"
        " and Stanczak, Slawomir and Zhu, Jingge",
        title="A Learning-Based Approach to Approximate Coded Computation",
        booktitle="IEEE Information Theory Workshop",
        year="2022",
    ),
}  # fmt: skip
