"""Installs the part of the package that needs no ROS, and its command zs-seg, with `pip install .`.

The ROS 2 package, with the node, the messages and the launch files, is built by colcon from
CMakeLists.txt.
"""

from xml.etree import ElementTree

from setuptools import find_packages, setup

PACKAGE = ElementTree.parse("package.xml").getroot()

setup(
    name="zs_seg_ros",
    version=PACKAGE.findtext("version"),
    description="Zero-shot segmentation of camera images with text prompts",
    url=PACKAGE.findtext("url[@type='website']"),
    author=PACKAGE.findtext("author"),
    author_email=PACKAGE.find("author").attrib["email"],
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.10",
    packages=[
        *find_packages(include=["zs_seg_ros*"], exclude=["zs_seg_ros.ros*"]),
        "zs_seg_ros.builtin_models",
        "zs_seg_ros.message_definitions",
    ],
    package_dir={
        "zs_seg_ros.builtin_models": "models",
        "zs_seg_ros.message_definitions": "msg",
    },
    package_data={
        "zs_seg_ros": ["py.typed"],
        "zs_seg_ros.studio": ["page/*"],
        "zs_seg_ros.builtin_models": ["*/*"],
        "zs_seg_ros.message_definitions": ["*.msg"],
    },
    install_requires=[
        "numpy>=1.26",
        "opencv-python-headless>=4.8,<5",
        "pillow>=10",
        "pyyaml>=6",
        "lz4>=3",
        "mcap>=1.6,<2",
        "rosbags>=0.11,<0.12",
        "zstandard>=0.19",
        "safetensors>=0.4",
        "torch>=2.4",
        "tqdm>=4.60",
        "transformers>=5.15,<6",
    ],
    extras_require={
        "calibration": ["nncf>=3,<4"],
        "evaluation": ["pycocotools>=2.0.8,<3"],
        "onnx": ["onnx>=1.19,<2", "onnxruntime>=1.23,<2"],
        "ray": ["ray>=2.9,<3"],
        "studio": ["starlette>=1,<2", "uvicorn>=0.30,<1", "websockets>=13"],
    },
    entry_points={"console_scripts": ["zs-seg = zs_seg_ros.cli.main:main"]},
)
