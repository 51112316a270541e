import MartletCore

/// Tensors in NumPy's `.npy` files.
enum NumPyFile {
  private static let magic: [UInt8] = [0x93, 0x4E, 0x55, 0x4D, 0x50, 0x59]  // \x93NUMPY

  /// Reads an array: every dtype, either byte order, C or Fortran order (a view with reversed strides).
  ///
  /// Throws `io` when the file cannot be read and `invalidModel` when it is not a whole `.npy` file.
  static func read(_ path: String) throws(MartletError) -> Tensor {
    let file = try OpenFile(reading: path)
    do throws(MartletError) {
      return try read(file)
    } catch {
      var error = error
      if !error.message.contains(path) { error.message = "\(path): \(error.message)" }
      throw error
    }
  }

  /// Writes `tensor` in C order, whatever its strides; throws `unsupported` for dtypes that NumPy has no code for.
  static func write(_ tensor: Tensor, to path: String) throws(MartletError) {
    guard NumPyHeader.code(of: tensor.dtype) != nil else {
      throw MartletError(
        .unsupported, "\(path): NumPy has no code for \(tensor.dtype)", expected: "another dtype",
        actual: "\(tensor.dtype)")
    }
    var header = Array(NumPyHeader(dtype: tensor.dtype, shape: tensor.shape).dictionary.utf8)
    // The elements begin at a multiple of 64 bytes; the header ends with a line feed.
    let padding = 64 - (magic.count + 4 + header.count + 1) % 64
    header += [UInt8](repeating: 0x20, count: padding % 64) + [0x0A]
    let file = try OpenFile(writing: path)
    let length = [UInt8(header.count & 0xFF), UInt8(header.count >> 8)]
    try file.write(magic + [1, 0] + length + header)
    let elements = tensor.isContiguous ? tensor : try contiguousCopy(tensor)
    try file.write(
      UnsafeRawBufferPointer(
        start: elements.pointer, count: try Shape.byteCount(tensor.shape, tensor.dtype)))
    try file.close()
  }

  private static func read(_ file: OpenFile) throws(MartletError) -> Tensor {
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

  /// The elements in C order. Complexity: one step per element.
  private static func contiguousCopy(_ tensor: Tensor) throws(MartletError) -> Tensor {
    let copy = try Tensor(uninitialized: tensor.dtype, tensor.shape)
    let size = tensor.dtype.wholeByteCount
    var index = [Int](repeating: 0, count: tensor.rank)
    var offset = 0
    for element in 0..<tensor.count {
      (copy.pointer + element * size).copyMemory(from: tensor.pointer + offset, byteCount: size)
      for axis in tensor.shape.indices.reversed() {
        index[axis] += 1
        offset += tensor.strides[axis] * size
        if index[axis] < tensor.shape[axis] { break }
        offset -= index[axis] * tensor.strides[axis] * size
        index[axis] = 0
      }
    }
    return copy
  }
}
