import MartletCore
import MartletKernels

/// Between floats and integers with a scale and a zero point, whole tensors at a time.
///
/// quantise: `saturate(round(x / scale) + zero)`, the quotient rounded to f32, half to even, NaN to
/// the least value. dequantise: `float(q - zero) * scale`, rounded once per step.
package enum Quantizing {
  /// Scale and zero point along the elements of a contiguous tensor seen as [outer, axis, inner]:
  /// element (o, a, i) has entry `o * outerStep + a / block * axisStep + i * innerStep` of `scales`
  /// and, where there are any, of `zeros`.
  package struct Parameters {
    package var scales: UnsafePointer<Float>
    package var zeros: UnsafePointer<Int32>?
    package var outer: Int
    package var axis: Int
    package var inner: Int
    package var outerStep = 0
    package var axisStep = 0
    package var innerStep = 0
    package var block = 1

    package init(
      scales: UnsafePointer<Float>, zeros: UnsafePointer<Int32>?, outer: Int, axis: Int, inner: Int
    ) {
      self.scales = scales
      self.zeros = zeros
      self.outer = outer
      self.axis = axis
      self.inner = inner
    }
  }

  /// `dst` is uint8, int8, uint16 or int16.
  package static func quantize(
    _ src: UnsafePointer<Float>, into dst: UnsafeMutableRawPointer, _ dtype: DType,
    _ parameters: Parameters, pool: ThreadPool
  ) {
    guard let kernel = KernelSet.current.integerRow()?.quantize else { return }
    let bytes = dtype.wholeByteCount
    run(parameters, pool) { first, count, entry, varies in
      var job = mk_quantize()
      job.n = Int64(count)
      job.src = src + first
      job.dst = dst + first * bytes
      job.dst_type = dtype.rawValue
      job.scale = parameters.scales[entry]
      job.zero = parameters.zeros?[entry] ?? 0
      if varies {
        job.scales = parameters.scales + entry
        job.zeros = parameters.zeros.map { $0 + entry }
      }
      kernel(&job)
    }
  }

  /// `src` is uint8, int8, uint16, int16 or int32.
  package static func dequantize(
    _ src: UnsafeRawPointer, _ dtype: DType, into dst: UnsafeMutablePointer<Float>,
    _ parameters: Parameters, pool: ThreadPool
  ) {
    guard let kernel = KernelSet.current.integerRow()?.dequantize else { return }
    let bytes = dtype.wholeByteCount
    run(parameters, pool) { first, count, entry, varies in
      var job = mk_dequantize()
      job.n = Int64(count)
      job.src = src + first * bytes
      job.src_type = dtype.rawValue
      job.dst = dst + first
      job.scale = parameters.scales[entry]
      job.zero = parameters.zeros?[entry] ?? 0
      if varies {
        job.scales = parameters.scales + entry
        job.zeros = parameters.zeros.map { $0 + entry }
      }
      kernel(&job)
    }
  }

  /// `src / scale`, rounded to f32.
  package static func divide(
    _ src: UnsafePointer<Float>, into dst: UnsafeMutablePointer<Float>, _ parameters: Parameters,
    pool: ThreadPool
  ) {
    run(parameters, pool) { first, count, entry, varies in
      let scales = parameters.scales + entry
      for i in 0..<count { dst[first + i] = src[first + i] / scales[varies ? i : 0] }
    }
  }

  /// Adds `zeros`, of which each element has the entry that it has of the scales.
  package static func add(
    _ zeros: UnsafePointer<Float>, to values: UnsafeMutablePointer<Float>,
    _ parameters: Parameters, pool: ThreadPool
  ) {
    run(parameters, pool) { first, count, entry, varies in
      for i in 0..<count { values[first + i] += zeros[entry + (varies ? i : 0)] }
    }
  }

  /// `(value - zero) * scale`, rounded once per step.
  package static func rescale(
    _ values: UnsafeMutablePointer<Float>, zeros: UnsafePointer<Float>?,
    _ parameters: Parameters, pool: ThreadPool
  ) {
    run(parameters, pool) { first, count, entry, varies in
      let scales = parameters.scales + entry
      for i in 0..<count {
        let place = varies ? i : 0
        let value = values[first + i]
        values[first + i] = (zeros.map { value - $0[entry + place] } ?? value) * scales[place]
      }
    }
  }

  /// Elements of one piece of work.
  private static let grain = 1 << 15

  /// Runs of elements that have one entry in common, or consecutive entries.
  private static func run(
    _ p: Parameters, _ pool: ThreadPool,
    _ body: (_ first: Int, _ count: Int, _ entry: Int, _ varies: Bool) -> Void
  ) {
    let count = p.outer * p.axis * p.inner
    guard count > 0 else { return }
    let isUniform = p.outerStep == 0 && p.axisStep == 0 && p.innerStep == 0
    // Along the last axis (inner 1) entries may follow each other.
    let isConsecutive = p.inner == 1 && p.block == 1 && p.axisStep == 1
    let line = isUniform ? count : p.inner == 1 ? p.axis : p.inner
    let lines = count / line
    func runLine(_ index: Int, _ range: Range<Int>) {
      let first = index * line + range.lowerBound
      if isUniform { return body(first, range.count, 0, false) }
      if p.inner != 1 {
        let (o, a) = index.quotientAndRemainder(dividingBy: p.axis)
        let entry = o * p.outerStep + a / p.block * p.axisStep
        return body(first, range.count, entry + range.lowerBound * p.innerStep, p.innerStep == 1)
      }
      let entry = index * p.outerStep
      if isConsecutive { return body(first, range.count, entry + range.lowerBound, true) }
      var a = range.lowerBound
      while a < range.upperBound {
        let end = min((a / p.block + 1) * p.block, range.upperBound)
        body(index * line + a, end - a, entry + a / p.block * p.axisStep, false)
        a = end
      }
    }
    if count <= grain {
      for index in 0..<lines { runLine(index, 0..<line) }
    } else if line > grain {
      let pieces = (line + grain - 1) / grain
      pool.parallelFor(lines * pieces) { item in
        let (index, piece) = item.quotientAndRemainder(dividingBy: pieces)
        runLine(index, piece * grain..<min((piece + 1) * grain, line))
      }
    } else {
      let group = grain / line
      pool.parallelFor((lines + group - 1) / group) { item in
        for index in item * group..<min((item + 1) * group, lines) { runLine(index, 0..<line) }
      }
    }
  }
}
