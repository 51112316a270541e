import MartletCore

/// Convolution whose taps read between elements, each at an offset of its own for each output.
///
/// The taps of some outputs are gathered into columns [C, kernel, outputs], linear along each axis, what is
/// outside being 0, and times the mask; a product with the weights sums them, in the mode's precision.
/// Then the bias is added. All matrices are contiguous, and none is empty.
package struct DeformableConvolution: ConvolutionShaped {
  package var geometry: ConvolutionGeometry
  /// Spatial axes, one to three: the trailing ones of the geometry's extents.
  package var axes: Int
  /// Groups of channels that share their offsets.
  package var offsetGroups: Int
  /// float32 or float64: the type of all matrices.
  package var dtype: DType
  package var src: UnsafeMutableRawPointer
  package var weights: UnsafeMutableRawPointer
  /// [batch, offsetGroups, kernel, axes, output].
  package var offsets: UnsafeMutableRawPointer
  /// [batch, offsetGroups, kernel, output], or nil: 1.
  package var mask: UnsafeMutableRawPointer?
  package var bias: UnsafeMutableRawPointer?
  package var dst: UnsafeMutableRawPointer
  package var mode: MathMode

  package init(
    _ geometry: ConvolutionGeometry, axes: Int, offsetGroups: Int, dtype: DType,
    src: UnsafeMutableRawPointer, weights: UnsafeMutableRawPointer,
    offsets: UnsafeMutableRawPointer, mask: UnsafeMutableRawPointer?,
    bias: UnsafeMutableRawPointer?, dst: UnsafeMutableRawPointer, mode: MathMode
  ) {
    self.geometry = geometry
    self.axes = axes
    self.offsetGroups = offsetGroups
    self.dtype = dtype
    self.src = src
    self.weights = weights
    self.offsets = offsets
    self.mask = mask
    self.bias = bias
    self.dst = dst
    self.mode = mode
  }

  /// Numbers of columns that one product takes at most, except where few outputs have more. It bounds the
  /// scratch, at 16 MiB of float32; not tuned.
  private static let blockElements = 1 << 22
  /// Outputs whose taps one item finds.
  private static let itemPoints = 512

  private var rows: Int { inChannels * kernel.count }
  private var block: Int { min(output.count, max(256, Self.blockElements / rows)) }

  /// The shape of the scratch that `run` works in, of type `dtype`.
  package var scratchShape: [Int] { [inChannels, kernel.count, block] }

  /// Convolves with `columns`, memory of `scratchShape`.
  ///
  /// - Throws: `outOfMemory`.
  /// - Complexity: 2·N·OC·(C/groups)·taps·outputs floating-point operations in products.
  package func run(
    columns: UnsafeMutableRawPointer, on pool: ThreadPool
  ) throws(MartletError) -> Execution {
    var execution = Execution(backend: "native", kernel: "", precision: "fp32")
    for image in 0..<batch {
      for first in Swift.stride(from: 0, to: output.count, by: block) {
        let outputs = first..<min(first + block, output.count)
        try gather(image, outputs, into: columns, pool)
        execution = try multiply(image, outputs, columns, pool)
      }
    }
    if let bias {
      let isParallel = pool.threadCount(forNanoseconds: batch * outChannels * output.count) > 1
      func addRow(_ row: Int) {
        if dtype == .float64 {
          add(bias.assumingMemoryBound(to: Double.self), row)
        } else {
          add(bias.assumingMemoryBound(to: Float.self), row)
        }
      }
      if isParallel {
        pool.parallelFor(batch * outChannels, addRow)
      } else {
        for row in 0..<batch * outChannels { addRow(row) }
      }
    }
    return execution
  }

  private func add<T: RealElement>(_ bias: UnsafePointer<T>, _ row: Int) {
    let out = dst.assumingMemoryBound(to: T.self) + row * output.count
    let value = bias[row % outChannels]
    for index in 0..<output.count { out[index] += value }
  }

  private func multiply(
    _ image: Int, _ outputs: Range<Int>, _ columns: UnsafeMutableRawPointer, _ pool: ThreadPool
  ) throws(MartletError) -> Execution {
    let size = dtype.wholeByteCount
    let depth = rows / groups
    let height = outChannels / groups
    let first = image * outChannels * output.count + outputs.lowerBound
    var problem = GEMMProblem(
      m: height, n: outputs.count, k: depth,
      lhs: MatrixView(weights, dtype, rowStride: depth),
      rhs: MatrixView(columns, dtype, rowStride: outputs.count),
      dst: MatrixView(dst + first * size, dtype, rowStride: output.count), mode: mode)
    if groups > 1 {
      problem.batch = [
        BatchAxis(
          count: groups, lhsStride: height * depth, rhsStride: depth * outputs.count,
          dstStride: height * output.count)
      ]
    }
    return try Backends.run(problem, pool: pool)
  }

  private func gather(
    _ image: Int, _ outputs: Range<Int>, into columns: UnsafeMutableRawPointer,
    _ pool: ThreadPool
  ) throws(MartletError) {
    let parts = (outputs.count + Self.itemPoints - 1) / Self.itemPoints
    let points = min(outputs.count, Self.itemPoints)
    let taps = 1 << axes
    let work = rows * outputs.count * taps / 2
    let hasMemory = WorkItems.run(
      offsetGroups * kernel.count * parts,
      isParallel: pool.threadCount(forNanoseconds: work) > 1, on: pool,
      scratchBytes: SampleTaps<Double>.byteCount(points: points, taps: taps)
    ) { item, scratch in
      let (column, part) = item.quotientAndRemainder(dividingBy: parts)
      let start = outputs.lowerBound + part * Self.itemPoints
      let range = start..<min(start + Self.itemPoints, outputs.upperBound)
      if dtype == .float64 {
        gather(Double.self, image, column, range, outputs, columns, scratch)
      } else {
        gather(Float.self, image, column, range, outputs, columns, scratch)
      }
    }
    guard hasMemory else {
      throw MartletError(.outOfMemory, "DeformConv: no memory for a block of taps")
    }
  }

  /// The columns of one tap of one offset group at some outputs.
  private func gather<T: RealElement>(
    _: T.Type, _ image: Int, _ column: Int, _ points: Range<Int>, _ outputs: Range<Int>,
    _ columns: UnsafeMutableRawPointer, _ scratch: UnsafeMutableRawPointer
  ) {
    let (group, tap) = column.quotientAndRemainder(dividingBy: kernel.count)
    let taps = SampleTaps<T>(scratch, points: points.count, count: 1 << axes)
    let place = (image * offsetGroups + group) * kernel.count + tap
    find(
      taps, tap, points,
      offsets.assumingMemoryBound(to: T.self) + place * axes * output.count)
    if let mask {
      let factors = mask.assumingMemoryBound(to: T.self) + place * output.count
      for index in 0..<taps.count {
        let weights = taps.weights + index * points.count
        for point in 0..<points.count { weights[point] *= factors[points.lowerBound + point] }
      }
    }
    let each = inChannels / offsetGroups
    let planes = src.assumingMemoryBound(to: T.self) + image * inChannels * input.count
    let target = columns.assumingMemoryBound(to: T.self) + points.lowerBound - outputs.lowerBound
    for channel in group * each..<(group + 1) * each {
      taps.mix(
        planes + channel * input.count,
        into: target + (channel * kernel.count + tap) * outputs.count
      ) { plane, offset in offset >= 0 ? plane[offset] : 0 }
    }
  }

  /// An axis of the window: extents of the image, the window and the output.
  private struct Axis {
    let image: Int
    let window: Int
    let outputs: Int
    let stride: Int
    let dilation: Int
    let padding: Int
  }

  private var spatialAxes: [Axis] {
    func axis(_ part: KeyPath<SpatialExtents, Int>) -> Axis {
      Axis(
        image: input[keyPath: part], window: kernel[keyPath: part], outputs: output[keyPath: part],
        stride: stride[keyPath: part], dilation: dilation[keyPath: part],
        padding: padding[keyPath: part])
    }
    return Array([axis(\.d), axis(\.h), axis(\.w)].suffix(axes))
  }

  private func find<T: RealElement>(
    _ taps: SampleTaps<T>, _ tap: Int, _ points: Range<Int>, _ offsets: UnsafePointer<T>
  ) {
    taps.begin()
    let spatial = spatialAxes
    var known = 1
    for (number, axis) in spatial.enumerated() {
      let inner = spatial[(number + 1)...]
      let pitch = inner.reduce(1) { $0 * $1.image }
      let outputPitch = inner.reduce(1) { $0 * $1.outputs }
      let step = tap / inner.reduce(1) { $0 * $1.window } % axis.window
      let start = step * axis.dilation - axis.padding
      let moved = offsets + number * output.count + points.lowerBound
      for point in 0..<points.count {
        let index = (points.lowerBound + point) / outputPitch % axis.outputs
        let place = T(index * axis.stride + start) + moved[point]
        var steps = (-1, -1, -1, -1)
        var weights: (T, T, T, T) = (0, 0, 0, 0)
        if place > -1, place < T(axis.image) {
          let floor = place.rounded(.down)
          let low = Int(floor)
          steps.0 = low >= 0 ? low : -1
          steps.1 = low + 1 < axis.image ? low + 1 : -1
          weights.1 = place - floor
          weights.0 = 1 - weights.1
        }
        _ = taps.multiply(point, known: known, reach: 2, stride: pitch, steps, weights)
      }
      known *= 2
    }
  }
}
