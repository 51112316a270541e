import MartletCore

/// Tensors of strings, whose elements are fields of their own.
extension ONNXTensorReader {
  /// The elements from string_data; throws `invalidModel` where they are not UTF-8 or not as many as
  /// the shape says.
  func strings(_ proto: ONNXTensor) throws(MartletError) -> Tensor {
    guard proto.raw == nil, !proto.isExternal else {
      throw MartletError(
        .invalidModel, "\(proto.path): strings lie in string_data, not in raw or external data",
        expected: "string_data", actual: proto.isExternal ? "external data" : "raw_data")
    }
    let count = try Shape.elementCount(proto.dims)
    var texts: [Text?] = []
    var reader = WireReader(storage, proto.message, path: proto.path)
    while let field = try reader.next() {
      guard field.number == 6 else {
        try reader.skip(field)
        continue
      }
      let range = try reader.bytes(field)
      let start = UnsafeRawPointer(storage.base) + range.lowerBound
      let bytes = UnsafeBufferPointer(
        start: start.assumingMemoryBound(to: UInt8.self), count: range.count)
      do throws(MartletError) { texts.append(try Text(utf8: bytes)) } catch {
        throw MartletError(
          error.code == .invalidArgument ? .invalidModel : error.code,
          "\(proto.path): string \(texts.count): \(error.message)", expected: error.expected,
          actual: error.actual)
      }
    }
    guard texts.count == count else {
      throw MartletError(
        .invalidModel,
        "\(proto.path): string\(Shape.text(proto.dims)) needs \(count) elements, but string_data has \(texts.count)",
        expected: "\(count) elements", actual: "\(texts.count)")
    }
    return try Tensor(texts: texts, proto.dims)
  }
}
