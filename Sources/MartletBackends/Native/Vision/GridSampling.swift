import MartletCore
import MartletKernels

/// Reads planes at places between their elements, which a grid gives.
///
/// A place is computed in the grid's type, as ONNX's text has it; a result sums its taps in the planes'
/// type (float64 for integers), the last axis's first, those outside left out under `zeros`. A
/// coordinate that is no number, or beyond 2^30, lies outside; there border and reflection read element
/// 0. Complexity: the taps of a point, 1, 2 or 4 for each axis, are found once for all channels.
package struct GridSampling {
  package enum Mode: Sendable {
    case nearest, linear, cubic

    /// Taps along one axis.
    var reach: Int {
      switch self {
      case .nearest: 1
      case .linear: 2
      case .cubic: 4
      }
    }
  }

  package enum Padding: Sendable {
    case zeros, border, reflection
  }

  package var batch: Int
  package var channels: Int
  /// Extents of a plane, one to three.
  package var input: [Int]
  /// Points of an image's grid.
  package var points: Int
  package var mode: Mode
  package var padding: Padding
  package var alignsCorners: Bool

  package init(
    batch: Int, channels: Int, input: [Int], points: Int, mode: Mode, padding: Padding,
    alignsCorners: Bool
  ) {
    self.batch = batch
    self.channels = channels
    self.input = input
    self.points = points
    self.mode = mode
    self.padding = padding
    self.alignsCorners = alignsCorners
  }

  /// dst [batch, channels, points] from src [batch, channels, input] at grid [batch, points, axes], whose
  /// innermost axis names the last axis of a plane first; all contiguous, none empty. src and dst are
  /// of one dtype: float32 or float64, or any whole number of bytes in nearest mode; grid is float32 or
  /// float64.
  ///
  /// - Throws: `outOfMemory`.
  package func run(
    src: Tensor, grid: Tensor, dst: Tensor, pool: ThreadPool
  ) throws(MartletError) {
    let taps = input.reduce(1) { count, _ in count * mode.reach }
    let block = min(points, max(16, 2048 / taps))
    let blocks = (points + block - 1) / block
    // Few points and many channels: several items share a block's points.
    let parts = min(max(1, 16 / (batch * blocks)), (channels + 7) / 8)
    let each = (channels + parts - 1) / parts
    let work = Double(batch) * Double(channels) * Double(points) * Double(taps) / 2
    let isParallel = pool.threadCount(forNanoseconds: Int(min(work, 1e15))) > 1
    let hasMemory = WorkItems.run(
      batch * blocks * parts, isParallel: isParallel, on: pool,
      scratchBytes: SampleTaps<Double>.byteCount(points: block + 16, taps: taps)
    ) { item, scratch in
      let (piece, part) = item.quotientAndRemainder(dividingBy: parts)
      let (image, number) = piece.quotientAndRemainder(dividingBy: blocks)
      let first = number * block
      let work = Work(
        image: image, points: first..<min(first + block, points),
        channels: part * each..<max(part * each, min((part + 1) * each, channels)), taps: taps)
      run(work, src, grid, dst, scratch)
    }
    guard hasMemory else {
      throw MartletError(.outOfMemory, "GridSample: no memory for a block of points")
    }
  }

  private struct Work {
    let image: Int
    let points: Range<Int>
    let channels: Range<Int>
    let taps: Int
  }

  private func run(
    _ work: Work, _ src: Tensor, _ grid: Tensor, _ dst: Tensor, _ scratch: UnsafeMutableRawPointer
  ) {
    let firstPlace = (work.image * points + work.points.lowerBound) * input.count
    if hasKernel(src, grid) {
      mixPairs(work, src.typed(Float.self), grid.typed(Float.self) + firstPlace, dst, scratch)
    } else if grid.dtype == .float64 {
      sample(work, src, grid.typed(Double.self) + firstPlace, dst, scratch)
    } else {
      sample(work, src, grid.typed(Float.self) + firstPlace, dst, scratch)
    }
  }

  /// Whether the kernels for two axes, mixed linearly, serve; results are the same to the bit.
  private func hasKernel(_ src: Tensor, _ grid: Tensor) -> Bool {
    mode == .linear && padding != .reflection && input.count == 2 && src.dtype == .float32
      && grid.dtype == .float32 && input[0] * input[1] < Int(Int32.max)
  }

  private func mixPairs(
    _ work: Work, _ src: UnsafePointer<Float>, _ places: UnsafePointer<Float>, _ dst: Tensor,
    _ scratch: UnsafeMutableRawPointer
  ) {
    let count = work.points.count
    var points = mk_grid_points()
    points.n = Int64(count)
    points.grid = places
    points.height = Int32(input[0])
    points.width = Int32(input[1])
    points.aligns = alignsCorners
    points.border = padding == .border
    let stride = (count + 15) / 16 * 16
    points.stride = Int64(stride)
    points.offsets = scratch.assumingMemoryBound(to: Int32.self)
    points.weights = (scratch + 16 * stride).assumingMemoryBound(to: Float.self)
    points.is_paired = (scratch + 32 * stride).assumingMemoryBound(to: UInt8.self)
    let table = VectorKernels.chosen.table
    table.grid_points(&points)
    for plane in planes(work) {
      table.grid_mix(
        &points, src + plane * input[0] * input[1],
        dst.typed(Float.self) + plane * self.points + work.points.lowerBound)
    }
  }

  private func sample<G: RealElement>(
    _ work: Work, _ src: Tensor, _ places: UnsafePointer<G>, _ dst: Tensor,
    _ scratch: UnsafeMutableRawPointer
  ) {
    if mode == .nearest {
      let taps = SampleTaps<Float>(scratch, points: work.points.count, count: 1)
      find(places, into: taps)
      src.dtype.visitWidth(
        NearestSamples(
          planes: planes(work), offsets: taps.offsets, points: work.points, src: src.pointer,
          dst: dst.pointer, pitch: (input.reduce(1, *), points)))
    } else if src.dtype == .float64 {
      mix(work, src.typed(Double.self), places, dst.typed(Double.self), scratch)
    } else {
      mix(work, src.typed(Float.self), places, dst.typed(Float.self), scratch)
    }
  }

  private func planes(_ work: Work) -> Range<Int> {
    let first = work.image * channels
    return first + work.channels.lowerBound..<first + work.channels.upperBound
  }

  private func mix<T: RealElement, G: RealElement>(
    _ work: Work, _ src: UnsafePointer<T>, _ places: UnsafePointer<G>,
    _ dst: UnsafeMutablePointer<T>, _ scratch: UnsafeMutableRawPointer
  ) {
    let taps = SampleTaps<T>(scratch, points: work.points.count, count: work.taps)
    let isInside = find(places, into: taps)
    let extent = input.reduce(1, *)
    for plane in planes(work) {
      let out = dst + plane * points + work.points.lowerBound
      if isInside {
        taps.mix(src + plane * extent, into: out) { plane, offset in plane[offset] }
      } else {
        taps.mix(src + plane * extent, into: out) { plane, offset in
          offset >= 0 ? plane[offset] : 0
        }
      }
    }
  }

  /// Finds the taps of the points at `places`; whether all are inside.
  @discardableResult
  private func find<T: RealElement, G: RealElement>(
    _ places: UnsafePointer<G>, into taps: SampleTaps<T>
  ) -> Bool {
    var isInside = true
    var stride = input.reduce(1, *)
    var known = 1
    taps.begin()
    for (axis, extent) in input.enumerated() {
      stride /= extent
      let line = SampleLine<G>(
        extent: extent, padding: padding, alignsCorners: alignsCorners)
      let coordinate = places + (input.count - 1 - axis)
      for point in 0..<taps.points {
        let normalized = coordinate[point &* input.count]
        var steps = (0, 0, 0, 0)
        var weights: (T, T, T, T) = (1, 0, 0, 0)
        switch mode {
        case .nearest: steps.0 = line.nearest(normalized)
        case .linear: line.linear(normalized, &steps, &weights)
        case .cubic: line.cubic(normalized, &steps, &weights)
        }
        let inside = taps.multiply(
          point, known: known, reach: mode.reach, stride: stride, steps, weights)
        isInside = isInside && inside
      }
      known *= mode.reach
    }
    return isInside
  }
}

/// One axis of a plane: where coordinates fall, and what is read for places outside.
private struct SampleLine<G: RealElement> {
  let extent: Int
  let padding: GridSampling.Padding
  let alignsCorners: Bool

  /// The place of a coordinate; nil where it is no number, or too far for one.
  @inline(__always)
  private func place(_ normalized: G, rounds: Bool = false, movesTaps: Bool = false) -> G? {
    let length = G(extent)
    var place =
      alignsCorners
      ? (normalized + 1) / 2 * (length - 1) : ((normalized + 1) * length - 1) / 2
    if rounds { place = place.rounded(.toNearestOrEven) }
    let (least, most) = bounds
    if place < least || place > most {
      switch padding {
      case .zeros: break
      // Three elements beyond the border all taps of a cubic read the same.
      case .border where movesTaps: place = min(max(place, -3), length + 2)
      case .border: place = place < 0 ? 0 : min(place, length - 1)
      case .reflection: place = reflected(place, least, most)
      }
    }
    if place > -0x1p30 && place < 0x1p30 { return place }
    return padding == .zeros ? nil : 0
  }

  @inline(__always)
  private var bounds: (G, G) {
    alignsCorners ? (0, G(extent - 1)) : (-0.5, G(extent) - 0.5)
  }

  @inline(__always)
  private func reflected(_ place: G, _ least: G, _ most: G) -> G {
    let range = most - least
    guard range > 0 else { return 0 }
    let beyond = place < least ? least - place : place - most
    let turns = (beyond / range).rounded(.towardZero)
    let rest = beyond - turns * range
    let isEven = (turns / 2).rounded(.towardZero) * 2 == turns
    return (place < least) == isEven ? least + rest : most - rest
  }

  /// The element that is read for `index`; -1: none.
  @inline(__always)
  private func element(_ index: Int) -> Int {
    if index >= 0 && index < extent { return index }
    switch padding {
    case .zeros: return -1
    case .border: return index < 0 ? 0 : extent - 1
    case .reflection:
      let (least, most) = bounds
      let place = reflected(G(index), least, most)
      return min(max(Int(place), 0), extent - 1)
    }
  }

  @inline(__always)
  func nearest(_ normalized: G) -> Int {
    place(normalized, rounds: true).map { element(Int($0)) } ?? -1
  }

  @inline(__always)
  func linear<T: RealElement>(
    _ normalized: G, _ steps: inout (Int, Int, Int, Int), _ weights: inout (T, T, T, T)
  ) {
    guard let place = place(normalized) else {
      steps = (-1, -1, -1, -1)
      return
    }
    let floor = place.rounded(.down)
    let index = Int(floor)
    steps.0 = element(index)
    steps.1 = element(index &+ 1)
    weights.1 = T(place - floor)
    weights.0 = 1 - weights.1
  }

  /// Keys' cubic convolution with a = -0.75.
  @inline(__always)
  func cubic<T: RealElement>(
    _ normalized: G, _ steps: inout (Int, Int, Int, Int), _ weights: inout (T, T, T, T)
  ) {
    guard let place = place(normalized, movesTaps: true) else {
      steps = (-1, -1, -1, -1)
      return
    }
    let floor = place.rounded(.down)
    let index = Int(floor)
    steps = (element(index &- 1), element(index), element(index &+ 1), element(index &+ 2))
    let a: T = -0.75
    let x = T(place - floor)
    func near(_ x: T) -> T { ((a + 2) * x - (a + 3)) * x * x + 1 }
    func far(_ x: T) -> T { ((a * x - 5 * a) * x + 8 * a) * x - 4 * a }
    weights = (far(x + 1), near(x), near(1 - x), far(2 - x))
  }
}

/// Elements read at one place each.
private struct NearestSamples: IntegerVisitor {
  let planes: Range<Int>
  let offsets: UnsafePointer<Int>
  let points: Range<Int>
  let src: UnsafeMutableRawPointer
  let dst: UnsafeMutableRawPointer
  let pitch: (src: Int, dst: Int)

  func visit<T: Element & FixedWidthInteger>(_: T.Type) {
    for plane in planes {
      let elements = src.assumingMemoryBound(to: T.self) + plane * pitch.src
      let out = dst.assumingMemoryBound(to: T.self) + plane * pitch.dst + points.lowerBound
      for point in 0..<points.count {
        let offset = offsets[point]
        out[point] = offset >= 0 ? elements[offset] : 0
      }
    }
  }
}
