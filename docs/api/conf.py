"""Settings of Sphinx for the page of the Python interface: `make docs`, and rosdoc2 by rosdoc2.yaml."""

import sys
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT))  # behind an installed package, which has the messages as well

project = "zs_seg_ros"
author = copyright = "zs_seg_ros developers"
version = release = ElementTree.parse(ROOT / "package.xml").findtext("version") or ""
extensions = ["sphinx.ext.autodoc", "sphinx.ext.viewcode"]
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
html_theme = "alabaster"
exclude_patterns = ["_build"]
