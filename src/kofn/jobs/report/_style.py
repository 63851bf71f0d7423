"""How the page of a run looks, in light and in dark."""

STYLE = """
.kofn-report{color-scheme:light dark;--ink:#1f2430;--quiet:#5b6270;--paper:#ffffff;--line:#d7dbe2;
--arrived:#1b7f73;--compared:#5aa79c;--late:#7fa650;--lost:#c8452c;--wrong:#8e1b20;--restarted:#e08a3c;--abandoned:#b3b8c2;
font:15px/1.45 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:1000px;margin:0 auto;padding:1em}
@media (prefers-color-scheme:dark){.kofn-report{--ink:#e6e8ee;--quiet:#a4abb9;--paper:#171a21;--line:#3a404c;
--arrived:#3fb8a8;--compared:#85cfc4;--late:#a5cc72;--lost:#f0745a;--wrong:#e2565c;--restarted:#f2ab67;--abandoned:#69707e}
body:has(>.kofn-report){background:#171a21}}
.kofn-report h1{font-size:1.4em;margin:.2em 0}.kofn-report h2{font-size:1.1em;margin:1.4em 0 .3em}
.kofn-report ul{margin:.4em 0;padding-left:1.2em}.kofn-report p{margin:.3em 0;color:var(--quiet)}
.kofn-report svg{display:block;width:100%;height:auto;overflow:visible}
.kofn-report svg text{font-size:11px;fill:var(--quiet)}
.kofn-report svg path[class]:has(title){stroke:var(--paper);stroke-width:.8}
.kofn-report .arrived{fill:var(--arrived)}.kofn-report .late{fill:var(--late)}.kofn-report .lost{fill:var(--lost)}
.kofn-report .compared{fill:var(--compared)}.kofn-report .wrong{fill:var(--wrong)}
.kofn-report .restarted{fill:var(--restarted)}.kofn-report .abandoned{fill:var(--abandoned)}
.kofn-report .ready{stroke:var(--ink);stroke-width:1.5}
.kofn-report .level{fill:none;stroke:var(--line);stroke-width:1}
.kofn-report .curve{fill:none;stroke:var(--arrived);stroke-width:2}
.kofn-report .key::before{content:"";display:inline-block;width:.8em;height:.8em;margin:0 .3em 0 .6em;border-radius:2px}
.kofn-report .key.arrived::before{background:var(--arrived)}.kofn-report .key.late::before{background:var(--late)}
.kofn-report .key.lost::before{background:var(--lost)}.kofn-report .key.wrong::before{background:var(--wrong)}
.kofn-report .key.compared::before{background:var(--compared)}
.kofn-report .key.restarted::before{background:var(--restarted)}
.kofn-report .key.abandoned::before{background:var(--abandoned)}
.kofn-report .wide{overflow-x:auto;max-height:26em}.kofn-report table{border-collapse:collapse;font-size:.92em}
.kofn-report th,.kofn-report td{padding:.15em .8em .15em 0;text-align:right;border-bottom:1px solid var(--line)}
.kofn-report th:first-child,.kofn-report td:first-child{text-align:left}
.kofn-report summary{cursor:pointer}.kofn-report :focus-visible{outline:2px solid var(--arrived)}
"""
