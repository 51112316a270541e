import MartletCore
import MartletPlatform

/// A picture in a file's bytes, in one of the formats that it may begin as.
package enum PictureFormat: String, Sendable {
  case bmp = "BMP"
  case compressedBMP = "compressed BMP"
  case pnm = "PNM"
  case png = "PNG"
  case jpeg = "JPEG"
  case jpeg2000 = "JPEG 2000"
  case tiff = "TIFF"
  case webp = "WebP"

  /// The format that the first bytes are of; nil: none that is known.
  package init?(of file: PictureFile) {
    func begins(_ signature: [UInt8], at offset: Int = 0) -> Bool {
      signature.indices.allSatisfy { file.byte(offset + $0) == signature[$0] }
    }
    if begins([0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]) {
      self = .png
    } else if begins([0xFF, 0xD8, 0xFF]) {
      self = .jpeg
    } else if begins([0x49, 0x49, 0x2A, 0]) || begins([0x4D, 0x4D, 0, 0x2A])
      || begins([0x49, 0x49, 0x2B, 0]) || begins([0x4D, 0x4D, 0, 0x2B])
    {
      self = .tiff
    } else if begins([0x52, 0x49, 0x46, 0x46]), begins([0x57, 0x45, 0x42, 0x50], at: 8) {
      self = .webp
    } else if begins([0, 0, 0, 0x0C, 0x6A, 0x50, 0x20, 0x20]) || begins([0xFF, 0x4F, 0xFF, 0x51]) {
      self = .jpeg2000
    } else if begins([0x42, 0x4D]) {
      // Run lengths of 8 and 4 bits, and JPEG or PNG inside.
      let isCompressed = file.number(14, 4) != 12 && [1, 2, 4, 5].contains(file.number(30, 4))
      self = isCompressed ? .compressedBMP : .bmp
    } else if file.byte(0) == 0x50, let kind = file.byte(1), (0x31...0x36).contains(kind) {
      self = .pnm
    } else {
      return nil
    }
  }

  /// The library of the system that reads it, and its number for `mp_picture_read`; nil: none is
  /// needed, or none is known.
  package var library: (name: String, number: Int)? {
    switch self {
    case .png: ("libpng16.so.16", Int(MP_PNG))
    case .jpeg: ("libjpeg.so.62 or libjpeg.so.8", Int(MP_JPEG))
    case .tiff: ("libtiff.so.6", Int(MP_TIFF))
    case .webp: ("libwebp.so.7", Int(MP_WEBP))
    case .bmp, .compressedBMP, .pnm, .jpeg2000: nil
    }
  }
}

/// A file's bytes, read within their bounds.
package struct PictureFile {
  let bytes: UnsafePointer<UInt8>
  let count: Int

  /// The elements of a contiguous uint8 tensor, which must outlive it.
  package init(_ tensor: Tensor) {
    bytes = UnsafePointer(tensor.typed(UInt8.self))
    count = tensor.count
  }

  @inline(__always)
  func byte(_ offset: Int) -> UInt8? { offset >= 0 && offset < count ? bytes[offset] : nil }

  /// `size` bytes as a number, the lowest first.
  func number(_ offset: Int, _ size: Int) -> Int? {
    guard offset >= 0, size <= count, offset <= count - size else { return nil }
    return (0..<size).reduce(0) { $0 | Int(bytes[offset + $1]) << (8 * $1) }
  }
}

/// Where pixels go: [height, width, channels] of bytes.
package struct PictureTarget {
  package enum Order: Sendable {
    case rgb, bgr, gray

    package var channels: Int { self == .gray ? 1 : 3 }
  }

  let bytes: UnsafeMutablePointer<UInt8>
  let order: Order

  package init(_ tensor: Tensor, _ order: Order) {
    bytes = tensor.typed(UInt8.self)
    self.order = order
  }

  /// Writes a pixel, counted over rows; gray is the luma of ITU-R BT.601 in 16 bits, rounded.
  @inline(__always)
  func write(_ pixel: Int, _ red: UInt8, _ green: UInt8, _ blue: UInt8) {
    switch order {
    case .gray:
      let sum = 19595 * UInt32(red) &+ 38470 * UInt32(green) &+ 7471 * UInt32(blue) &+ 0x8000
      bytes[pixel] = UInt8(truncatingIfNeeded: sum >> 16)
    case .rgb:
      (bytes[3 &* pixel], bytes[3 &* pixel &+ 1], bytes[3 &* pixel &+ 2]) = (red, green, blue)
    case .bgr:
      (bytes[3 &* pixel], bytes[3 &* pixel &+ 1], bytes[3 &* pixel &+ 2]) = (blue, green, red)
    }
  }
}

/// What is known of a picture before its pixels are read.
package enum PictureReading {
  case extents(width: Int, height: Int)
  /// Not a picture of its format, or not a whole one.
  case damaged
  case noLibrary
}

/// Pictures that libraries of the system read.
package enum SystemPicture {
  package static func extents(_ file: PictureFile, _ number: Int) -> PictureReading {
    var picture = mp_picture(
      bytes: file.bytes, count: file.count, pixels: nil, width: 0, height: 0)
    switch mp_picture_read(Int32(number), &picture) {
    case Int32(MP_PICTURE_READ):
      return .extents(width: Int(picture.width), height: Int(picture.height))
    case Int32(MP_PICTURE_NO_LIBRARY): return .noLibrary
    default: return .damaged
    }
  }

  /// Reads the pixels with `memory` of four bytes for each; false where the file is damaged.
  package static func read(
    _ file: PictureFile, _ number: Int, width: Int, height: Int, memory: Tensor,
    into target: PictureTarget
  ) -> Bool {
    let pixels = memory.typed(UInt8.self)
    var picture = mp_picture(
      bytes: file.bytes, count: file.count, pixels: pixels, width: Int32(clamping: width),
      height: Int32(clamping: height))
    guard mp_picture_read(Int32(number), &picture) == Int32(MP_PICTURE_READ) else { return false }
    for pixel in 0..<width * height {
      let from = pixels + 4 * pixel
      target.write(pixel, from[0], from[1], from[2])
    }
    return true
  }
}
