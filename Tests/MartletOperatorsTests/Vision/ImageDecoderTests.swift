import MartletCore
import Testing

@testable import MartletOperators

/// The formats that are read without a library; `Tests/python/test_images.py` has the others.
@Suite struct ImageDecoderTests {
  private func decode(_ bytes: [Int], _ format: String = "RGB") throws -> Tensor {
    try run(
      "ImageDecoder", [tensor(bytes.map { Double($0) }, nil, .uint8)],
      ["pixel_format": .string(format)])[0]
  }

  private func text(_ text: String, _ rest: [Int] = []) -> [Int] {
    text.utf8.map { Int($0) } + rest
  }

  private func little(_ value: Int, _ size: Int) -> [Int] {
    (0..<size).map { value >> (8 * $0) & 255 }
  }

  private func bitmap(
    _ width: Int, _ height: Int, bits: Int, compression: Int = 0, palette: [Int] = [],
    colors: Int = 0, _ rows: [[Int]]
  ) -> [Int] {
    let first = 54 + palette.count
    var file = text("BM") + little(0, 8) + little(first, 4) + little(40, 4)
    file += little(width, 4) + little(height, 4) + little(1, 2) + little(bits, 2)
    file += little(compression, 4) + little(0, 12) + little(colors, 4) + little(0, 4) + palette
    for row in rows { file += row + [Int](repeating: 0, count: (4 - row.count % 4) % 4) }
    return file
  }

  @Test("bitmaps of 24 bits, from below or above") func bitmaps() throws {
    let below = bitmap(2, 2, bits: 24, [[7, 8, 9, 10, 11, 12], [1, 2, 3, 4, 5, 6]])
    #expect(try decode(below).shape == [2, 2, 3])
    #expect(try decode(below).values == [3, 2, 1, 6, 5, 4, 9, 8, 7, 12, 11, 10])
    #expect(try decode(below, "BGR").values == (1...12).map { Double($0) })
    let above = bitmap(2, -2, bits: 24, [[1, 2, 3, 4, 5, 6], [7, 8, 9, 10, 11, 12]])
    #expect(try decode(above).values == decode(below).values)
    let gray = try decode(bitmap(1, 1, bits: 24, [[255, 255, 255]]), "Grayscale")
    #expect(gray.shape == [1, 1, 1] && gray.values == [255])
  }

  @Test("bitmaps with palettes and masks") func palettes() throws {
    let colors = [0, 0, 255, 0, 0, 255, 0, 0]  // red, green
    #expect(
      try decode(bitmap(3, 1, bits: 1, palette: colors, [[0b0100_0000]])).values
        == [255, 0, 0, 0, 255, 0, 255, 0, 0])
    #expect(
      try decode(bitmap(3, 1, bits: 4, palette: colors, colors: 2, [[0x10, 0x20]])).values
        == [0, 255, 0, 255, 0, 0, 0, 0, 0])
    #expect(
      try decode(bitmap(2, 1, bits: 8, palette: colors, colors: 2, [[1, 0]])).values
        == [0, 255, 0, 255, 0, 0])
    #expect(try decode(bitmap(1, 1, bits: 16, [[0x1F, 0x7C]])).values == [255, 0, 255])
    #expect(try decode(bitmap(1, 1, bits: 32, [[1, 2, 3, 4]])).values == [3, 2, 1])
    let masks = little(0xFF, 4) + little(0xFF00, 4) + little(0xF0_0000, 4)
    #expect(
      try decode(bitmap(1, 1, bits: 32, compression: 3, palette: masks, [[1, 2, 0x80, 0]])).values
        == [1, 2, 136])
  }

  @Test("portable pictures, plain and raw, with comments and other maxima") func portable() throws {
    #expect(try decode(text("P1 # bits\n3 1\n1 01")).values == [0, 0, 0, 255, 255, 255, 0, 0, 0])
    #expect(try decode(text("P2\n2 1 15\n15 5"), "Grayscale").values == [255, 85])
    #expect(try decode(text("P3\n1 2\n#x\n255\n1 2 3\n4 5 6")).values == [1, 2, 3, 4, 5, 6])
    #expect(
      try decode(text("P4 9 2\n", [0b1000_0000, 0, 0, 0b1000_0000]), "Grayscale").values
        == [0] + [Double](repeating: 255, count: 16) + [0])
    #expect(try decode(text("P5 2 1 255\n", [7, 9])).values == [7, 7, 7, 9, 9, 9])
    #expect(try decode(text("P6 1 1 65535\n", [255, 255, 128, 0, 0, 1])).values == [255, 128, 0])
  }

  @Test("every damaged file gives an image without elements") func damaged() throws {
    let whole = [
      bitmap(2, 2, bits: 24, [[7, 8, 9, 10, 11, 12], [1, 2, 3, 4, 5, 6]]),
      bitmap(3, 1, bits: 1, palette: [0, 0, 255, 0, 0, 255, 0, 0], [[64]]),
      text("P6 1 1 255\n", [1, 2, 3]), text("P2\n2 1 15\n15 5"),
    ]
    for file in whole {
      #expect(try decode(file).count > 0)
      for end in 0..<file.count - 3 {
        let result = try decode(Array(file[..<end]))
        #expect(result.shape == [0, 0, 3] || result.rank == 3)
      }
      // Any byte may be anything; extents that are allowed may be large.
      for place in file.indices where place < 40 {
        for value in [0, 1, 127, 255] {
          var other = file
          other[place] = value
          do {
            #expect(try decode(other, "Grayscale").rank == 3)
          } catch let error as MartletError {
            #expect([.unsupported, .outOfMemory].contains(error.code))
          }
        }
      }
    }
    #expect(try decode([], "Grayscale").shape == [0, 0, 1])
    #expect(try decode(text("GIF89a")).shape == [0, 0, 3])
    #expect(try decode(text("P6 99999999999999999999 1 255\n")).shape == [0, 0, 3])
    #expect(try decode(text("P5 268435456 268435456 255\n")).shape == [0, 0, 3])
  }

  @Test("what cannot be read for another reason is named") func refusals() throws {
    let jpeg2000 = martletError {
      _ = try decode([0, 0, 0, 12, 0x6A, 0x50, 0x20, 0x20, 13, 10, 0x87, 10])
    }
    #expect(jpeg2000?.code == .unsupported && jpeg2000?.actual == "JPEG 2000")
    var bitmap = [Int](repeating: 0, count: 54)
    (bitmap[0], bitmap[1], bitmap[14], bitmap[30]) = (0x42, 0x4D, 40, 1)
    let runLengths = martletError { _ = try decode(bitmap) }
    #expect(runLengths?.code == .unsupported && runLengths?.actual == "compressed BMP")
    #expect(martletError { _ = try decode([1], "RGBA") }?.input == "pixel_format")
    let wrong = martletError { _ = try run("ImageDecoder", [iota([2, 2], .uint8)]) }
    #expect(wrong?.input == "encoded_stream" && wrong?.expected == "1")
    #expect(martletError { _ = try run("ImageDecoder", [iota([2])]) }?.code == .invalidDType)
    #expect(try infer("ImageDecoder", [nil])[0].text == "uint8[?, ?, 3]")
  }
}
