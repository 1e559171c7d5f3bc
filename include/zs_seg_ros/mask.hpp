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

#ifndef ZS_SEG_ROS__MASK_HPP_
#define ZS_SEG_ROS__MASK_HPP_

/// \file
/// The pixels of a zs_seg_ros/msg/ObjectMask, for planners in C++17.
///
/// `object` is everywhere a zs_seg_ros::msg::ObjectMask, or anything else that has its fields
/// roi.x_offset, roi.y_offset, roi.height, roi.width and counts. This header includes none of ROS.
///
/// \code
/// for (const auto & object : message.objects) {
///   zs_seg_ros::paint(object, image, message.height, message.width, std::uint16_t{7});
/// }
/// \endcode
///
/// Messages are validated: an inconsistent one throws std::invalid_argument before any pixel is
/// written.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

namespace zs_seg_ros
{

/// Throw std::invalid_argument unless the run lengths of `object` fill its box exactly.
///
/// The box may still be larger than any image: compare it with the height and width of the
/// ObjectMaskArray, as paint() does.
template<class Object>
void check_counts(const Object & object)
{
  const std::uint64_t area = std::uint64_t{object.roi.height} *object.roi.width;
  std::uint64_t missing = area;
  for (const auto count : object.counts) {
    if (count > missing) {
      throw std::invalid_argument(
              "the run lengths of the mask add up to more than the " + std::to_string(area) +
              " pixels of its box: drop the message, it is damaged");
    }
    missing -= count;
  }
  if (missing > 0) {
    throw std::invalid_argument(
            "the run lengths of the mask add up to " + std::to_string(area - missing) +
            " pixels instead of the " + std::to_string(area) +
            " of its box: drop the message, it is damaged");
  }
}

/// Call `visit(row, column, length)` for each stretch of pixels of the object in a row of its box.
///
/// The three are std::size_t: `length` >= 1 pixels of `row`, from `column` on. They count from the
/// box's top left corner; roi.y_offset and roi.x_offset lead to the image. Stretches come row by
/// row and from left to right. This is the fastest way to iterate over all pixels.
///
/// \throws std::invalid_argument as check_counts(), before the first visit.
template<class Object, class Visit>
void for_each_run(const Object & object, Visit && visit)
{
  check_counts(object);
  const std::uint64_t width = object.roi.width;
  std::uint64_t position = 0;
  bool is_object = false;
  for (const auto count : object.counts) {
    const std::uint64_t end = position + count;
    while (is_object && position < end) {
      const std::uint64_t row = position / width;
      const std::uint64_t row_end = std::min(end, (row + 1) * width);
      visit(
        static_cast<std::size_t>(row), static_cast<std::size_t>(position % width),
        static_cast<std::size_t>(row_end - position));
      position = row_end;
    }
    position = end;
    is_object = !is_object;
  }
}

/// The mask inside its box: roi.height x roi.width bytes, row by row, 1 on the object, otherwise 0.
///
/// It takes as much memory as the box has pixels. Compare the box with the size of the image
/// first where the sender is not trusted.
///
/// \throws std::invalid_argument as check_counts(), and for a box too large to be addressed.
template<class Object>
std::vector<std::uint8_t> decode(const Object & object)
{
  check_counts(object);
  const std::size_t width = object.roi.width;
  const std::uint64_t area = std::uint64_t{object.roi.height} *width;
  std::vector<std::uint8_t> mask;
  if (area > mask.max_size()) {
    throw std::invalid_argument(
            "a box of " + std::to_string(
              area) + " pixels is too large: drop the message, it is damaged");
  }
  mask.resize(static_cast<std::size_t>(area), 0);
  for_each_run(
    object, [&](std::size_t row, std::size_t column, std::size_t length) {
      std::fill_n(mask.data() + row * width + column, length, std::uint8_t{1});
    });
  return mask;
}

/// Set all pixels of the object in an image to `value` and leave the others unchanged.
///
/// \param image image_height x image_width pixels of an unsigned integer type, row by row, without
///   padding. The two are the height and width of the ObjectMaskArray.
/// \throws std::invalid_argument as check_counts(), and for a box that does not lie in the image.
///   The image is then unchanged.
template<class Object, class Pixel>
void paint(
  const Object & object, Pixel * image, std::uint32_t image_height, std::uint32_t image_width,
  std::common_type_t<Pixel> value)
{
  static_assert(std::is_unsigned_v<Pixel>, "pixels are of an unsigned integer type");
  const std::uint64_t left = object.roi.x_offset;
  const std::uint64_t top = object.roi.y_offset;
  if (left + object.roi.width > image_width || top + object.roi.height > image_height) {
    throw std::invalid_argument(
            "the box of " + std::to_string(object.roi.width) + "x" +
            std::to_string(object.roi.height) +
            " pixels at x " + std::to_string(left) + ", y " + std::to_string(top) +
            " does not lie in the image of " + std::to_string(image_width) + "x" +
            std::to_string(image_height) +
            ": give the height and width of the same ObjectMaskArray");
  }
  for_each_run(
    object, [&](std::size_t row, std::size_t column, std::size_t length) {
      const std::uint64_t first = (top + row) * image_width + left + column;
      std::fill_n(image + static_cast<std::size_t>(first), length, value);
    });
}

/// The same for a std::vector, which must have image_height x image_width pixels.
template<class Object, class Pixel>
void paint(
  const Object & object, std::vector<Pixel> & image, std::uint32_t image_height,
  std::uint32_t image_width, std::common_type_t<Pixel> value)
{
  if (image.size() != std::uint64_t{image_height} *image_width) {
    throw std::invalid_argument(
            "the vector has " + std::to_string(image.size()) + " pixels, not the " +
            std::to_string(std::uint64_t{image_height} *image_width) + " of an image of " +
            std::to_string(image_width) + "x" + std::to_string(image_height) + ": resize it first");
  }
  paint(object, image.data(), image_height, image_width, value);
}

}  // namespace zs_seg_ros

#endif  // ZS_SEG_ROS__MASK_HPP_
