import MartletCore
import MartletOperators

/// Turns TensorProto messages into tensors: views of the model's bytes or of external files wherever
/// the elements lie aligned, copies otherwise.
///
/// Source: onnx.proto, TensorProto; docs/ExternalData.md.
struct ONNXTensorReader {
  let storage: Storage
  /// The directory that external data is relative to; nil when the model came from memory.
  let directory: String?
  private var files: [String: Storage] = [:]

  init(_ storage: Storage, directory: String?) {
    self.storage = storage
    self.directory = directory
  }

  /// The tensor's dtype; throws `unsupported` for complex numbers.
  static func dtype(_ code: Int, of what: String) throws(MartletError) -> DType {
    if let raw = Int32(exactly: code), let dtype = DType(rawValue: raw) { return dtype }
    guard let name = DType.unsupportedONNXNames[code] else {
      throw MartletError(
        .invalidModel, "\(what): data type \(code) is not one of ONNX", actual: "\(code)")
    }
    throw MartletError(
      .unsupported, "\(what): tensors of \(name) are not supported",
      expected: DType.allCases.map(\.description).joined(separator: ", "), actual: name)
  }

  /// The tensor, its size held against its shape.
  mutating func read(_ proto: ONNXTensor) throws(MartletError) -> Tensor {
    guard !proto.isSegmented else {
      throw MartletError(.unsupported, "\(proto.path): segmented tensors are not supported")
    }
    let dtype = try ONNXTensorReader.dtype(proto.dataType, of: proto.path)
    let byteCount: Int
    do throws(MartletError) { byteCount = try Shape.byteCount(proto.dims, dtype) } catch {
      throw MartletError(.invalidModel, "\(proto.path): \(error.message)", actual: error.actual)
    }
    if dtype == .string { return try strings(proto) }
    if proto.isExternal { return try external(proto, dtype, byteCount) }
    if let raw = proto.raw {
      guard raw.count == byteCount else {
        throw sizeError(proto, dtype, expected: byteCount, actual: raw.count, "raw_data")
      }
      return try view(storage, raw.lowerBound, dtype, proto.dims, byteCount)
    }
    return try typed(proto, dtype, byteCount)
  }

  // MARK: - Views

  /// Unaligned float32 weights of at least this size stay in place; the plan copies them unless all
  /// that read them take any address (the trait `anyAddress`).
  static let copiedBelow = 4096

  /// The elements in place if they are aligned or large weights, else copied; bools other than 0
  /// and 1 are made 1.
  private func view(
    _ storage: Storage, _ offset: Int, _ dtype: DType, _ dims: [Int], _ byteCount: Int
  ) throws(MartletError) -> Tensor {
    let source = UnsafeRawPointer(storage.base) + offset
    let isAligned = UInt(bitPattern: source) % UInt(dtype.alignment) == 0
    let bytes = UnsafeRawBufferPointer(start: source, count: byteCount)
    let isClean = dtype != .bool || bytes.allSatisfy { $0 < 2 }
    let isWeight =
      dtype == .float32 && dims.count > 1 && byteCount >= ONNXTensorReader.copiedBelow
    if (isAligned || isWeight) && isClean {
      return try Tensor(storage: storage, dtype: dtype, shape: dims, byteOffset: offset)
    }
    let copy = try Tensor(uninitialized: dtype, dims)
    copy.pointer.copyMemory(from: source, byteCount: byteCount)
    if !isClean {
      let flags = copy.typed(UInt8.self)
      for index in 0..<byteCount where flags[index] > 1 { flags[index] = 1 }
    }
    return copy
  }

  private func sizeError(
    _ proto: ONNXTensor, _ dtype: DType, expected: Int, actual: Int, _ field: String
  ) -> MartletError {
    MartletError(
      .invalidModel,
      "\(proto.path): \(dtype)\(Shape.text(proto.dims)) needs \(expected) bytes, but \(field) has \(actual)",
      expected: "\(expected) bytes", actual: "\(actual) bytes")
  }

  // MARK: - Typed fields

  /// The elements from float_data, int32_data, …, whichever goes with the dtype.
  private func typed(_ proto: ONNXTensor, _ dtype: DType, _ byteCount: Int) throws(MartletError)
    -> Tensor
  {
    let number: Int
    switch dtype {
    case .float32: number = 4
    case .int64: number = 7
    case .float64: number = 10
    case .uint32, .uint64: number = 11
    default: number = 5
    }
    // Those of 4 and 2 bits stand as the bytes that they are packed in; those of 6 one by one.
    let isPacked = dtype.isPacked && dtype.bitWidth != 6
    let count =
      isPacked
      ? byteCount
      : dtype.isPacked ? try Shape.elementCount(proto.dims) : byteCount / dtype.wholeByteCount
    let names = [
      4: "float_data", 5: "int32_data", 6: "string_data", 7: "int64_data", 10: "double_data",
      11: "uint64_data",
    ]
    let name = names[number] ?? ""
    if count > 0 && !proto.typedFields.contains(number) {
      let found = proto.typedFields.sorted().compactMap { names[$0] }.joined(separator: ", ")
      throw MartletError(
        .invalidModel,
        "\(proto.path): \(dtype)\(Shape.text(proto.dims)) has no data in raw_data or \(name)"
          + (found.isEmpty ? "" : ", only \(found)"),
        expected: "\(count) elements", actual: "none")
    }
    // Each element takes at least one byte in the file: no allocation beyond eight times that.
    guard count <= proto.message.count else {
      throw sizeError(proto, dtype, expected: byteCount, actual: proto.message.count, name)
    }
    let size = dtype.alignment
    let result = try Tensor(uninitialized: dtype, proto.dims)
    if dtype.isPacked {
      result.pointer.initializeMemory(as: UInt8.self, repeating: 0, count: byteCount)
    }
    var filled = 0
    var reader = WireReader(storage, proto.message, path: proto.path)
    while let field = try reader.next() {
      guard field.number == number else {
        try reader.skip(field)
        continue
      }
      if field.type == .bytes {
        let range = try reader.bytes(field)
        if number == 4 || number == 10 {
          guard range.count <= byteCount - filled * size, range.count % size == 0
          else { throw sizeError(proto, dtype, expected: byteCount, actual: range.count, name) }
          reader.copy(range, to: result.pointer + filled * size)
          filled += range.count / size
          continue
        }
        var packed = WireReader(storage, range, path: proto.path)
        while packed.position < packed.end {
          let value = try packed.varint()
          try store(value, at: filled, count, result, proto, name)
          filled += 1
        }
      } else if number == 4 {
        let value = try reader.float(field)
        try store(UInt64(value.bitPattern), at: filled, count, result, proto, name)
        filled += 1
      } else if number == 10 {
        let value = try reader.double(field)
        try store(value.bitPattern, at: filled, count, result, proto, name)
        filled += 1
      } else {
        let value = UInt64(bitPattern: Int64(try reader.integer(field)))
        try store(value, at: filled, count, result, proto, name)
        filled += 1
      }
    }
    guard filled == count else { throw countError(proto, dtype, count, "only \(filled)", name) }
    return result
  }

  /// Puts the low bits of `value` at `index`; floats of 16 bits and less hold their bit patterns.
  private func store(
    _ value: UInt64, at index: Int, _ count: Int, _ result: Tensor, _ proto: ONNXTensor,
    _ name: String
  ) throws(MartletError) {
    guard index < count else {
      throw countError(proto, result.dtype, count, "more", name)
    }
    switch result.dtype.bitWidth {
    case 6:
      // From bit 6 * index on; the bits there are 0.
      let code = UInt16(truncatingIfNeeded: value & 63) << UInt16(index * 6 % 8)
      let byte = index * 6 / 8
      result.typed(UInt8.self)[byte] |= UInt8(truncatingIfNeeded: code)
      if code > 255 { result.typed(UInt8.self)[byte + 1] |= UInt8(code >> 8) }
    case ...8:
      let byte = UInt8(truncatingIfNeeded: value)
      result.typed(UInt8.self)[index] = result.dtype == .bool ? min(byte, 1) : byte
    case 16: result.typed(UInt16.self)[index] = UInt16(truncatingIfNeeded: value)
    case 32: result.typed(UInt32.self)[index] = UInt32(truncatingIfNeeded: value)
    default: result.typed(UInt64.self)[index] = value
    }
  }

  private func countError(
    _ proto: ONNXTensor, _ dtype: DType, _ count: Int, _ actual: String, _ name: String
  ) -> MartletError {
    MartletError(
      .invalidModel,
      "\(proto.path): \(dtype)\(Shape.text(proto.dims)) needs \(count) elements, but \(name) has \(actual)",
      expected: "\(count) elements", actual: actual)
  }

  // MARK: - External data

  /// A tensor in a file beside the model, which is mapped once.
  private mutating func external(_ proto: ONNXTensor, _ dtype: DType, _ byteCount: Int)
    throws(MartletError) -> Tensor
  {
    func value(_ key: String) -> String? { proto.external.last { $0.key == key }?.value }
    guard let location = value("location"), !location.isEmpty else {
      throw MartletError(.invalidModel, "\(proto.path): external data without a location")
    }
    guard let directory else {
      throw MartletError(
        .unsupported,
        "\(proto.path): external data in '\(location)' is not available to a model that is loaded from memory",
        expected: "a model loaded from its file")
    }
    guard !location.hasPrefix("/"), !location.utf8.contains(0),
      !location.split(separator: "/").contains("..")
    else {
      throw MartletError(
        .invalidModel,
        "\(proto.path): external data location '\(location)' leaves the model's directory",
        expected: "a path below the model's directory", actual: location)
    }
    func number(_ key: String) throws(MartletError) -> Int? {
      guard let text = value(key) else { return nil }
      guard let number = Int(text), number >= 0 else {
        throw MartletError(
          .invalidModel, "\(proto.path): external data has \(key) '\(text)'",
          expected: "a number of bytes", actual: text)
      }
      return number
    }
    let offset = try number("offset") ?? 0
    let length = try number("length") ?? byteCount
    guard length == byteCount else {
      throw sizeError(proto, dtype, expected: byteCount, actual: length, "external data")
    }
    if byteCount == 0 { return try Tensor(uninitialized: dtype, proto.dims) }
    let file: Storage
    if let known = files[location] {
      file = known
    } else {
      do throws(MartletError) {
        file = try MappedFile(path: directory + "/" + location, below: directory).storage
      } catch {
        var error = error
        error.message = "\(proto.path): external data: \(error.message)"
        throw error
      }
      files[location] = file
    }
    guard offset <= file.byteCount, byteCount <= file.byteCount - offset else {
      // What stands for a file that was not fetched is short.
      if file.byteCount <= 1 << 16, let foreign = ForeignFile.recognize(file) {
        throw MartletError(
          .invalidModel,
          "\(proto.path): external data in '\(location)': this is \(foreign.name); \(foreign.advice)",
          expected: "\(byteCount) bytes", actual: foreign.name)
      }
      throw MartletError(
        .invalidModel,
        "\(proto.path): external data at byte \(offset) of '\(location)' needs \(byteCount) bytes, but the file has \(file.byteCount)",
        expected: "\(byteCount) bytes", actual: "\(max(file.byteCount - offset, 0)) bytes")
    }
    return try view(file, offset, dtype, proto.dims, byteCount)
  }
}
