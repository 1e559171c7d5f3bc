# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Which outputs of a frame have subscribers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RequestedOutputs:
    """The outputs beside the segmentation that have subscribers; post-processing of the others does not run."""

    objects: bool = False
    surfaces: bool = False
    cloud: bool = False
    features: bool = False

    @property
    def needs_depth(self) -> bool:
        """Return whether a requested stage uses depth."""
        return self.surfaces or self.cloud

    def __or__(self, other: RequestedOutputs) -> RequestedOutputs:
        """Return the union of the stages of both."""
        return RequestedOutputs(
            self.objects or other.objects,
            self.surfaces or other.surfaces,
            self.cloud or other.cloud,
            self.features or other.features,
        )

    def covers(self, other: RequestedOutputs) -> bool:
        """Return whether every stage of `other` is requested here too."""
        return (
            self.objects >= other.objects
            and self.surfaces >= other.surfaces
            and self.cloud >= other.cloud
            and self.features >= other.features
        )
