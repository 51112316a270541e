import MartletCore
import MartletKernels

/// Functions of elements of 8 bits with a scale and a zero point each: dequantised, computed in float32
/// and quantised as `Quantizing` does it, a part at a time that stays in the cache.
package enum QuantizedElements {
  /// Contiguous int8 or uint8 elements, and what they mean.
  package struct Operand {
    package let pointer: UnsafeMutableRawPointer
    package let dtype: DType
    package let scale: Float
    package let zero: Int32

    package init(_ tensor: Tensor, scale: Float, zero: Int32) {
      pointer = tensor.pointer
      dtype = tensor.dtype
      self.scale = scale
      self.zero = zero
    }
  }

  private static let part = 2048
  /// Parts that one thread takes at a time.
  private static let grain = 8

  /// dst = function(a, b), element by element.
  package static func binary(
    _ function: BinaryFunction, _ a: Operand, _ b: Operand, into dst: Operand, count: Int,
    _ workspace: Workspace
  ) throws(MartletError) {
    let kernels = VectorKernels.chosen
    let kernel = kernels.binary[Int(function == .add ? MK_BINARY_ADD : MK_BINARY_MUL)]
    forEachPart(count, workspace.pool) { start, count in
      withUnsafeTemporaryAllocation(of: Float.self, capacity: 2 * part) { buffer in
        guard let left = buffer.baseAddress else { return }
        let right = left + part
        dequantize(a, start, count, into: left)
        dequantize(b, start, count, into: right)
        kernel(Int64(count), left, 1, right, 1, left)
        quantize(left, count, into: dst, start)
      }
    }
  }

  /// dst = function(x), from a table of all 256 values.
  package static func unary(
    _ function: UnaryFunction, _ x: Operand, into dst: Operand, count: Int,
    _ workspace: Workspace
  ) throws(MartletError) {
    let codes = try workspace.scratch(.uint8, [256])
    let table = try workspace.scratch(.uint8, [256])
    let values = try workspace.scratch(.float32, [256])
    let (bytes, floats) = (codes.typed(UInt8.self), values.typed(Float.self))
    for code in 0..<256 { bytes[code] = UInt8(code) }
    let source = Operand(retyped(codes, x.dtype), scale: x.scale, zero: x.zero)
    dequantize(source, 0, 256, into: floats)
    FloatUnary(function).run(256, floats, floats)
    quantize(
      floats, 256, into: Operand(retyped(table, dst.dtype), scale: dst.scale, zero: dst.zero), 0)
    let entries = UnsafePointer(table.typed(UInt8.self))
    let from = UnsafePointer(x.pointer.assumingMemoryBound(to: UInt8.self))
    let to = dst.pointer.assumingMemoryBound(to: UInt8.self)
    forEachPart(count, workspace.pool) { start, count in
      for i in start..<start + count { to[i] = entries[Int(from[i])] }
    }
  }

  private static func retyped(_ tensor: Tensor, _ dtype: DType) -> Tensor {
    Tensor(
      unchecked: tensor.storage, dtype: dtype, layout: tensor.layout,
      byteOffset: tensor.byteOffset)
  }

  private static func forEachPart(
    _ count: Int, _ pool: ThreadPool, _ body: (_ start: Int, _ count: Int) -> Void
  ) {
    let piece = part * grain
    pool.parallelFor((count + piece - 1) / piece) { index in
      var start = index * piece
      let end = min(start + piece, count)
      while start < end {
        body(start, min(part, end - start))
        start += part
      }
    }
  }

  private static func dequantize(
    _ source: Operand, _ start: Int, _ count: Int, into dst: UnsafeMutablePointer<Float>
  ) {
    guard let kernel = KernelSet.current.integerRow()?.dequantize else { return }
    var job = mk_dequantize()
    job.n = Int64(count)
    job.src = UnsafeRawPointer(source.pointer + start)
    job.src_type = source.dtype.rawValue
    job.dst = dst
    job.scale = source.scale
    job.zero = source.zero
    kernel(&job)
  }

  private static func quantize(
    _ values: UnsafePointer<Float>, _ count: Int, into target: Operand, _ start: Int
  ) {
    guard let kernel = KernelSet.current.integerRow()?.quantize else { return }
    var job = mk_quantize()
    job.n = Int64(count)
    job.src = values
    job.dst = target.pointer + start
    job.dst_type = target.dtype.rawValue
    job.scale = target.scale
    job.zero = target.zero
    kernel(&job)
  }
}
