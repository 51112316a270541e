import MartletCore

/// Tensors in NumPy's `.npy` files.
enum NumPyFile {
  private static let magic: [UInt8] = [0x93, 0x4E, 0x55, 0x4D, 0x50, 0x59]  // \x93NUMPY

  /// Whether these are the first bytes of such a file.
  static func recognizes(_ head: [UInt8]) -> Bool { head.starts(with: magic) }

  /// Reads an array: every dtype, either byte order, C or Fortran order (a view with reversed strides).
  ///
  /// Throws `io` when the file cannot be read and `invalidModel` when it is not a whole `.npy` file.
  static func read(_ path: String) throws(MartletError) -> Tensor {
    try read(try OpenFile(reading: path))
  }

  static func read(_ file: OpenFile) throws(MartletError) -> Tensor {
    do throws(MartletError) {
      return try array(file)
    } catch {
      var error = error
      if !error.message.contains(file.name) { error.message = "\(file.name): \(error.message)" }
      throw error
    }
  }

  /// Writes `tensor` in C order, whatever its strides; throws `unsupported` for dtypes that NumPy has no
  /// code for.
  static func write(_ tensor: Tensor, to path: String) throws(MartletError) {
    try check(tensor.dtype, path)
    let file = try OpenFile(writing: path)
    try write(tensor, to: file)
    try file.close()
  }

  /// `write` into a file that stays open.
  static func write(_ tensor: Tensor, to file: OpenFile) throws(MartletError) {
    try withBytes(of: tensor, file.name) { header, elements throws(MartletError) in
      try file.write(header)
      try file.write(elements)
    }
  }

  /// Throws `unsupported` for dtypes that NumPy has no code for.
  static func check(_ dtype: DType, _ path: String) throws(MartletError) {
    guard NumPyHeader.code(of: dtype) != nil else {
      throw MartletError(
        .unsupported, "\(path): NumPy has no code for \(dtype)", expected: "another dtype",
        actual: "\(dtype)")
    }
  }

  /// Calls `body` with what such a file of `tensor` consists of.
  static func withBytes(
    of tensor: Tensor, _ path: String,
    _ body: ([UInt8], UnsafeRawBufferPointer) throws(MartletError) -> Void
  ) throws(MartletError) {
    try check(tensor.dtype, path)
    var header = Array(NumPyHeader(dtype: tensor.dtype, shape: tensor.shape).dictionary.utf8)
    // The elements begin at a multiple of 64 bytes; the header ends with a line feed.
    let padding = 64 - (magic.count + 4 + header.count + 1) % 64
    header += [UInt8](repeating: 0x20, count: padding % 64) + [0x0A]
    let length = [UInt8(header.count & 0xFF), UInt8(header.count >> 8)]
    let elements = tensor.isContiguous ? tensor : try tensor.copied()
    defer { withExtendedLifetime(elements) {} }
    try body(
      magic + [1, 0] + length + header,
      UnsafeRawBufferPointer(start: elements.pointer, count: elements.byteCount))
  }

  private static func array(_ file: OpenFile) throws(MartletError) -> Tensor {
    let preamble = try file.read(count: 8, what: "the magic number")
    guard Array(preamble.prefix(6)) == magic else {
      throw MartletError(.invalidModel, "not a .npy file (its first bytes are not \\x93NUMPY)")
    }
    guard (1...3).contains(preamble[6]) else {
      throw MartletError(
        .unsupported, "npy version \(preamble[6]).\(preamble[7]) is not supported",
        expected: "1.0, 2.0 or 3.0", actual: "\(preamble[6]).\(preamble[7])")
    }
    let lengthBytes = try file.read(count: preamble[6] == 1 ? 2 : 4, what: "the header's length")
    let length = lengthBytes.reversed().reduce(0) { $0 << 8 | Int($1) }
    guard length <= 1 << 20 else {
      throw MartletError(.invalidModel, "the npy header claims \(length) bytes")
    }
    let text = try file.read(count: length, what: "the header")
    let header = try NumPyHeader(dictionary: String(decoding: text, as: UTF8.self))
    return try readElements(file, header)
  }

  private static func readElements(_ file: OpenFile, _ header: NumPyHeader) throws(MartletError)
    -> Tensor
  {
    let bytes = try Shape.byteCount(header.shape, header.dtype)
    let remaining = file.byteCount - file.position
    guard bytes == remaining else {
      throw MartletError(
        .invalidModel,
        "the npy header describes \(bytes) bytes of elements, the file has \(remaining)",
        expected: "\(bytes) bytes", actual: "\(remaining) bytes")
    }
    let stored = header.isFortranOrder ? Array(header.shape.reversed()) : header.shape
    let tensor = try Tensor(uninitialized: header.dtype, stored)
    let destination = UnsafeMutableRawBufferPointer(start: tensor.pointer, count: bytes)
    try file.read(into: destination, what: "the elements")
    if header.isBigEndian { swapBytes(destination, elementSize: header.dtype.wholeByteCount) }
    if header.dtype == .bool {
      for index in destination.indices where destination[index] > 1 { destination[index] = 1 }
    }
    guard header.isFortranOrder else { return tensor }
    return try tensor.permuted(Array((0..<header.shape.count).reversed()))
  }

  private static func swapBytes(_ bytes: UnsafeMutableRawBufferPointer, elementSize: Int) {
    guard elementSize > 1 else { return }
    for start in stride(from: 0, to: bytes.count, by: elementSize) {
      bytes[start..<start + elementSize].reverse()
    }
  }
}
