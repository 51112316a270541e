/// A portable bitmap, graymap or pixmap (P1 to P6), of up to 16 bits, which become 8.
///
/// Source: netpbm's pbm, pgm and ppm formats. Of several pictures in a file the first is read.
package struct PortablePicture {
  package let width: Int
  package let height: Int
  private let channels: Int
  private let isPlain: Bool
  private let isBitmap: Bool
  private let most: Int
  private let pixels: Int

  /// nil: not such a picture, or not a whole one.
  package init?(_ file: PictureFile) {
    guard let kind = file.byte(1).map({ Int($0) - 0x30 }), (1...6).contains(kind) else {
      return nil
    }
    var cursor = Cursor(file, at: 2)
    guard let across = cursor.number(), let down = cursor.number() else { return nil }
    isBitmap = kind % 3 == 1
    guard let most = isBitmap ? 1 : cursor.number(), (1...65535).contains(most),
      (1...1 << 28).contains(across), (1...1 << 28).contains(down), cursor.skipsOneSpace()
    else { return nil }
    (width, height, self.most) = (across, down, most)
    channels = kind % 3 == 0 ? 3 : 1
    isPlain = kind <= 3
    pixels = cursor.place
    // A plain number takes a byte and, but for bits, one between it and the next.
    let row = isPlain ? width * channels : isBitmap ? (width + 7) / 8 : width * channels
    let size = isPlain ? 1 : most > 255 ? 2 : 1
    guard row * size * height <= file.count - pixels else { return nil }
  }

  /// Reads the pixels of the file that it was made of; false where there are fewer.
  package func read(_ file: PictureFile, into target: PictureTarget) -> Bool {
    isPlain ? readPlain(file, target) : readRaw(file, target)
  }

  private func readRaw(_ file: PictureFile, _ target: PictureTarget) -> Bool {
    let bytes = file.bytes + pixels
    let rowBytes = (width + 7) / 8
    for pixel in 0..<width * height {
      if isBitmap {
        let (row, column) = pixel.quotientAndRemainder(dividingBy: width)
        let isBlack = bytes[row * rowBytes + column / 8] >> (7 - column % 8) & 1 == 1
        let shade: UInt8 = isBlack ? 0 : 255
        target.write(pixel, shade, shade, shade)
        continue
      }
      func part(_ index: Int) -> UInt8 {
        let place = pixel * channels + (channels == 3 ? index : 0)
        guard most > 255 else { return scaled(Int(bytes[place])) }
        return scaled(Int(bytes[2 * place]) << 8 | Int(bytes[2 * place + 1]))
      }
      target.write(pixel, part(0), part(1), part(2))
    }
    return true
  }

  private func readPlain(_ file: PictureFile, _ target: PictureTarget) -> Bool {
    var cursor = Cursor(file, at: pixels)
    for pixel in 0..<width * height {
      var parts: (UInt8, UInt8, UInt8) = (0, 0, 0)
      for index in 0..<channels {
        guard let value = isBitmap ? cursor.bit() : cursor.number() else { return false }
        let shade = isBitmap ? (value == 1 ? 0 : 255) : scaled(value)
        if index == 0 { parts = (shade, shade, shade) }
        if index == 1 { parts.1 = shade }
        if index == 2 { parts.2 = shade }
      }
      target.write(pixel, parts.0, parts.1, parts.2)
    }
    return true
  }

  private func scaled(_ value: Int) -> UInt8 {
    most == 255 ? UInt8(clamping: value) : UInt8(clamping: (value * 255 + most / 2) / most)
  }

  /// Numbers between white space and comments.
  private struct Cursor {
    private let file: PictureFile
    private(set) var place: Int

    init(_ file: PictureFile, at place: Int) {
      self.file = file
      self.place = place
    }

    private static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0D) ~= byte }

    private mutating func skipSpace() {
      while let byte = file.byte(place) {
        if byte == 0x23 {
          while let next = file.byte(place), next != 0x0A, next != 0x0D { place += 1 }
        } else if !Self.isSpace(byte) {
          return
        } else {
          place += 1
        }
      }
    }

    mutating func number() -> Int? {
      skipSpace()
      var value: Int?
      while let byte = file.byte(place), (0x30...0x39) ~= byte {
        let next = (value ?? 0) * 10 + Int(byte - 0x30)
        guard next < 1 << 40 else { return nil }
        value = next
        place += 1
      }
      return value
    }

    mutating func bit() -> Int? {
      skipSpace()
      guard let byte = file.byte(place), byte == 0x30 || byte == 0x31 else { return nil }
      place += 1
      return Int(byte - 0x30)
    }

    mutating func skipsOneSpace() -> Bool {
      guard let byte = file.byte(place), Self.isSpace(byte) else { return false }
      place += 1
      return true
    }
  }
}
