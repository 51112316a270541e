import MartletCore

/// Reads and makes the small tensors that carry shapes, axes and scalars.
package enum SmallTensors {
  /// The elements in row-major order as integers; any strides, any dtype (floats truncate).
  package static func integers(_ tensor: Tensor) -> [Int] {
    var values: [Int] = []
    values.reserveCapacity(tensor.count)
    if tensor.dtype.isNarrow { return narrow(tensor).map { Casting.clamped($0) } }
    let fits = tensor.dtype.isInteger && tensor.dtype != .uint64 || tensor.dtype == .bool
    if fits, tensor.isContiguous, tensor.isAligned {
      return [Int](unsafeUninitializedCapacity: tensor.count) { buffer, count in
        guard let base = buffer.baseAddress else { return }
        Casting.convert(tensor.count, tensor.pointer, tensor.dtype, base, .int64)
        count = tensor.count
      }
    }
    forEach(tensor) { pointer in
      switch tensor.dtype {
      case .int64: values.append(Int(pointer.loadUnaligned(as: Int64.self)))
      case .int32: values.append(Int(pointer.loadUnaligned(as: Int32.self)))
      case .int16: values.append(Int(pointer.loadUnaligned(as: Int16.self)))
      case .int8: values.append(Int(pointer.loadUnaligned(as: Int8.self)))
      case .uint64: values.append(Int(clamping: pointer.loadUnaligned(as: UInt64.self)))
      case .uint32: values.append(Int(pointer.loadUnaligned(as: UInt32.self)))
      case .uint16: values.append(Int(pointer.loadUnaligned(as: UInt16.self)))
      case .uint8: values.append(Int(pointer.loadUnaligned(as: UInt8.self)))
      case .bool: values.append(pointer.loadUnaligned(as: UInt8.self) == 0 ? 0 : 1)
      default: values.append(Casting.clamped(double(pointer, tensor.dtype)))
      }
    }
    return values
  }

  /// The elements in row-major order as doubles; any strides, any dtype.
  package static func doubles(_ tensor: Tensor) -> [Double] {
    var values: [Double] = []
    values.reserveCapacity(tensor.count)
    if tensor.dtype.isNarrow { return narrow(tensor) }
    forEach(tensor) { values.append(double($0, tensor.dtype)) }
    return values
  }

  private static func narrow(_ tensor: Tensor) -> [Double] {
    var values = [Double](repeating: 0, count: tensor.count)
    values.withUnsafeMutableBytes { bytes in
      guard let base = bytes.baseAddress else { return }
      if tensor.dtype.isPacked {
        Casting.convert(tensor.count, tensor.pointer, tensor.dtype, base, .float64)
        return
      }
      var index = 0
      forEach(tensor) { pointer in
        Casting.convert(
          1, UnsafeMutableRawPointer(mutating: pointer), tensor.dtype, base + 8 * index, .float64)
        index += 1
      }
    }
    return values
  }

  private static func double(_ pointer: UnsafeRawPointer, _ dtype: DType) -> Double {
    switch dtype {
    case .float32: Double(pointer.loadUnaligned(as: Float.self))
    case .float64: pointer.loadUnaligned(as: Double.self)
    case .float16, .bfloat16:
      Double(HalfFormats.float(pointer.loadUnaligned(as: UInt16.self), dtype))
    case .int64: Double(pointer.loadUnaligned(as: Int64.self))
    case .int32: Double(pointer.loadUnaligned(as: Int32.self))
    case .int16: Double(pointer.loadUnaligned(as: Int16.self))
    case .int8: Double(pointer.loadUnaligned(as: Int8.self))
    case .uint64: Double(pointer.loadUnaligned(as: UInt64.self))
    case .uint32: Double(pointer.loadUnaligned(as: UInt32.self))
    case .uint16: Double(pointer.loadUnaligned(as: UInt16.self))
    case .uint8: Double(pointer.loadUnaligned(as: UInt8.self))
    case .string: .nan
    default: pointer.loadUnaligned(as: UInt8.self) == 0 ? 0 : 1
    }
  }

  private static func forEach(_ tensor: Tensor, _ body: (UnsafeRawPointer) -> Void) {
    let count = tensor.count
    var index = [Int](repeating: 0, count: tensor.rank)
    var offset = 0
    for _ in 0..<count {
      body(tensor.pointer + offset * tensor.dtype.wholeByteCount)
      for axis in index.indices.reversed() {
        index[axis] += 1
        offset += tensor.strides[axis]
        if index[axis] < tensor.shape[axis] { break }
        offset -= tensor.strides[axis] * tensor.shape[axis]
        index[axis] = 0
      }
    }
  }

  /// Writes `values` to the contiguous tensor in its dtype.
  package static func write(_ values: [Int], to tensor: Tensor) {
    if !tensor.dtype.hasElementType { return write(values.map { Double($0) }, to: tensor) }
    tensor.dtype.visit(IntegerWriter(values: values, dst: tensor.pointer))
  }

  /// Writes one number to a one-element tensor in its dtype; from double, as `Casting` converts.
  package static func write(_ value: Double, to tensor: Tensor) {
    var value = value
    withUnsafeMutableBytes(of: &value) { bytes in
      if let base = bytes.baseAddress {
        Casting.convert(1, base, .float64, tensor.pointer, tensor.dtype)
      }
    }
  }

  /// Writes `values` to the contiguous tensor in its dtype.
  package static func write(_ values: [Double], to tensor: Tensor) {
    values.withUnsafeBytes { bytes in
      guard let base = bytes.baseAddress else { return }
      Casting.convert(
        values.count, UnsafeMutableRawPointer(mutating: base), .float64, tensor.pointer,
        tensor.dtype)
    }
  }

  /// A scalar of this dtype.
  package static func scalar(_ value: Double, _ dtype: DType) throws(MartletError) -> Tensor {
    let tensor = try Tensor(uninitialized: dtype, [])
    write(value, to: tensor)
    return tensor
  }
}

private struct IntegerWriter: ElementVisitor {
  let values: [Int]
  let dst: UnsafeMutableRawPointer

  func visit<T: Element>(_: T.Type) {
    let out = dst.assumingMemoryBound(to: T.self)
    for (index, value) in values.enumerated() { out[index] = T(converting: Int64(value)) }
  }
}
