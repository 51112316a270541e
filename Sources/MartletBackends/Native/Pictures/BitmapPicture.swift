/// A Windows bitmap that is not compressed: 1 to 8 bits with a palette, 16 to 32 bits with or without
/// masks.
///
/// Source: Microsoft, "Bitmap Storage" (BITMAPCOREHEADER to BITMAPV5HEADER).
package struct BitmapPicture {
  package let width: Int
  package let height: Int
  private let isUpsideDown: Bool
  private let bits: Int
  private let pixels: Int
  private let rowBytes: Int
  private let palette: [(UInt8, UInt8, UInt8)]
  /// Of red, green and blue in a pixel of 16 or 32 bits.
  private let masks: [Int]

  /// nil: not a bitmap, not a whole one, or one that is not read.
  package init?(_ file: PictureFile) {
    guard let header = file.number(14, 4), header == 12 || (40...1024).contains(header),
      let first = file.number(10, 4)
    else { return nil }
    let isCore = header == 12
    guard let across = isCore ? file.number(18, 2) : file.number(18, 4),
      let down = isCore ? file.number(20, 2) : file.number(22, 4),
      let bits = file.number(isCore ? 24 : 28, 2), [1, 2, 4, 8, 16, 24, 32].contains(bits)
    else { return nil }
    let compression = isCore ? 0 : file.number(30, 4) ?? 1
    guard compression == 0 || (bits == 16 || bits == 32) && [3, 6].contains(compression) else {
      return nil
    }
    let signed = isCore ? down : Int(Int32(truncatingIfNeeded: down))
    width = across
    height = abs(signed)
    isUpsideDown = signed > 0
    self.bits = bits
    guard (1...1 << 28).contains(width), (1...1 << 28).contains(height) else { return nil }
    rowBytes = (bits * width + 31) / 32 * 4
    pixels = first
    guard first >= 14 + header, rowBytes * height <= file.count - first else { return nil }
    var colors: [(UInt8, UInt8, UInt8)] = []
    if bits <= 8 {
      let size = isCore ? 3 : 4
      let given = isCore ? 0 : file.number(46, 4) ?? 0
      let count = given > 0 ? min(given, 1 << bits) : 1 << bits
      for index in 0..<count {
        guard let color = file.number(14 + header + size * index, 3) else { return nil }
        let parts = (color >> 16, color >> 8, color)
        colors.append(
          (
            UInt8(truncatingIfNeeded: parts.0), UInt8(truncatingIfNeeded: parts.1),
            UInt8(truncatingIfNeeded: parts.2)
          ))
      }
    }
    palette = colors
    if compression == 0 {
      masks = bits == 16 ? [0x7C00, 0x3E0, 0x1F] : [0xFF0000, 0xFF00, 0xFF]
    } else {
      var given: [Int] = []
      for part in 0..<3 {
        guard let mask = file.number(54 + 4 * part, 4), mask > 0 else { return nil }
        given.append(mask)
      }
      masks = given
    }
  }

  /// Reads the pixels of the file that it was made of.
  package func read(_ file: PictureFile, into target: PictureTarget) {
    for row in 0..<height {
      let line = file.bytes + pixels + (isUpsideDown ? height - 1 - row : row) * rowBytes
      for column in 0..<width {
        let pixel = row * width + column
        switch bits {
        case 24:
          let from = line + 3 * column
          target.write(pixel, from[2], from[1], from[0])
        case 16, 32:
          let size = bits / 8
          let value = (0..<size).reduce(0) { $0 | Int(line[size * column + $1]) << (8 * $1) }
          target.write(pixel, part(value, 0), part(value, 1), part(value, 2))
        default:
          let each = 8 / bits
          let shift = 8 - bits * (column % each + 1)
          let index = Int(line[column / each]) >> shift & (1 << bits - 1)
          let color = index < palette.count ? palette[index] : (0, 0, 0)
          target.write(pixel, color.0, color.1, color.2)
        }
      }
    }
  }

  /// The masked bits, as far as 255.
  private func part(_ value: Int, _ index: Int) -> UInt8 {
    let mask = masks[index]
    let shift = mask.trailingZeroBitCount
    let (bits, most) = ((value & mask) >> shift, mask >> shift)
    return UInt8(clamping: (bits * 255 + most / 2) / most)
  }
}
