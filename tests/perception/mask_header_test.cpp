// Copyright 2026 zs_seg_ros developers
//
// Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
// in compliance with the License. You may obtain a copy of the License at
// http://www.apache.org/licenses/LICENSE-2.0
//
// Unless required by applicable law or agreed to in writing, software distributed under the License
// is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
// or implied. See the License for the specific language governing permissions and limitations under
// the License.

// What test_mask_header.py compiles: masks from stdin, decoded and painted to stdout.
//
// usage: mask_header_test BITS_OF_A_PIXEL <cases >answers
// All numbers are uint32 in the machine's byte order.
// A case: image height, image width, pixels in the vector, x_offset, y_offset, height, width,
// how many counts, counts. Its answer: what decode() gives, what paint() gives, the whole image
// after that; each is 1 for std::invalid_argument or else 0, how many bytes, bytes.

#include "zs_seg_ros/mask.hpp"

#include <cstdint>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <vector>

namespace
{

struct RegionOfInterest
{
  std::uint32_t x_offset;
  std::uint32_t y_offset;
  std::uint32_t height;
  std::uint32_t width;
};

struct ObjectMask
{
  RegionOfInterest roi;
  std::vector<std::uint32_t> counts;
};

bool read(std::uint32_t & number) {return std::fread(&number, sizeof number, 1, stdin) == 1;}

std::uint32_t read()
{
  std::uint32_t number = 0;
  if (!read(number)) {
    throw std::runtime_error("the last case is cut off");
  }
  return number;
}

void write(std::uint32_t number) {std::fwrite(&number, sizeof number, 1, stdout);}

template <class Items>
void write(bool refused, const Items & items)
{
  const std::size_t item_bytes = sizeof(typename Items::value_type);
  write(refused ? 1u : 0u);
  write(static_cast<std::uint32_t>(items.size() * item_bytes));
  if (!items.empty()) {  // an empty vector's data() may be null, which fwrite does not allow
    std::fwrite(items.data(), item_bytes, items.size(), stdout);
  }
}

template <class Action>
void write_result(Action && action)
{
  try {
    write(false, action());
  } catch (const std::invalid_argument & error) {
    write(true, std::string(error.what()));
  }
}

template <class Pixel>
void answer_all()
{
  std::uint32_t image_height = 0;
  while (read(image_height)) {
    const std::uint32_t image_width = read();
    std::vector<Pixel> image(read(), Pixel{0});
    ObjectMask object;
    object.roi.x_offset = read();
    object.roi.y_offset = read();
    object.roi.height = read();
    object.roi.width = read();
    object.counts.resize(read());
    for (auto & count : object.counts) {
      count = read();
    }
    write_result([&] {return zs_seg_ros::decode(object);});
    write_result([&] {
      zs_seg_ros::paint(object, image, image_height, image_width, 200);
      return std::string();
    });
    write(false, image);
  }
}

}  // namespace

int main(int, char ** arguments)
{
  const int bits = std::stoi(arguments[1]);
  if (bits == 8) {
    answer_all<std::uint8_t>();
  } else if (bits == 16) {
    answer_all<std::uint16_t>();
  } else if (bits == 32) {
    answer_all<std::uint32_t>();
  } else {
    answer_all<std::uint64_t>();
  }
}
