import MartletCore
import MartletKernels

/// For each place of a resized axis: the places that it is mixed from, with their weights.
package struct ResampleTaps: Sendable {
  /// Place j uses entries starts[j]..<starts[j + 1].
  package private(set) var starts: [Int] = [0]
  package private(set) var indices: [Int] = []
  package private(set) var weights: [Double] = []

  /// For `places` places, of about `reach` taps each.
  package init(places: Int, reach: Int) {
    starts.reserveCapacity(places + 1)
    indices.reserveCapacity(places * reach)
    weights.reserveCapacity(places * reach)
  }

  package var count: Int { starts.count - 1 }

  /// Places that a run of taps of one place spans at most.
  var reach: Int {
    var most = 0
    for place in 0..<count where starts[place] < starts[place + 1] {
      let taps = indices[starts[place]..<starts[place + 1]]
      most = max(most, (taps.max() ?? 0) - (taps.min() ?? 0) + 1)
    }
    return most
  }

  /// Adds a tap to the place that is being mixed, unless it weighs nothing.
  package mutating func append(_ index: Int, _ weight: Double) {
    guard weight != 0 else { return }
    indices.append(index)
    weights.append(weight)
  }

  /// Ends the place that is being mixed, each weight of it divided by `total`.
  package mutating func endPlace(dividingBy total: Double = 1) {
    if total != 1 {
      for tap in (starts.last ?? 0)..<weights.count { weights[tap] /= total }
    }
    starts.append(indices.count)
  }
}

/// Weighted mixing along one axis.
package enum Resampling {
  /// dst[o, j, i] = sum over the taps of j of weight * src[o, index, i], in the taps' order.
  ///
  /// src [outer, extent, inner] and dst [outer, taps.count, inner] are contiguous, both float32 or
  /// both float64.
  package static func mix(
    _ src: Tensor, outer: Int, extent: Int, inner: Int, _ taps: ResampleTaps, into dst: Tensor,
    _ workspace: Workspace
  ) {
    if src.dtype == .float64 {
      mix(taps.weights, src, outer, extent, inner, taps, into: dst, workspace)
    } else {
      mix(taps.weights.map { Float($0) }, src, outer, extent, inner, taps, into: dst, workspace)
    }
  }

  @inline(__always)
  private static func mix<T: RealElement>(
    _ weights: [T], _ src: Tensor, _ outer: Int, _ extent: Int, _ inner: Int, _ taps: ResampleTaps,
    into dst: Tensor, _ workspace: Workspace
  ) {
    // Few elements per place are worth whole lines at a time; many, single places.
    let places = inner < 16 ? taps.count : 1
    let units = outer * taps.count / max(places, 1)
    let perChunk = max(1, (1 << 13) / max(inner * places, 1))
    let (from, to) = (src.typed(T.self), dst.typed(T.self))
    withMixer(weights, extent: extent, inner: inner, taps) { mixer in
      nonisolated(unsafe) let mixer = mixer
      workspace.pool.parallelFor((units + perChunk - 1) / perChunk) { chunk in
        let first = chunk * perChunk * places
        mixer.run(first..<min(first + perChunk * places, outer * taps.count), from, to)
      }
    }
  }

  @inline(__always)
  private static func withMixer<T: RealElement>(
    _ weights: [T], extent: Int, inner: Int, _ taps: ResampleTaps, _ body: (Mixer<T>) -> Void
  ) {
    let pairs = T.self == Float.self && inner == 1 ? NeighbourTaps(taps, extent: extent) : nil
    taps.starts.withUnsafeBufferPointer { starts in
      taps.indices.withUnsafeBufferPointer { indices in
        weights.withUnsafeBufferPointer { weights in
          body(
            Mixer(
              extent: extent, inner: inner, count: taps.count, starts: starts, indices: indices,
              weights: weights, pairs: pairs))
        }
      }
    }
  }
}

extension Resampling {
  /// Whether `mixGrid` can do with little memory for the lines that a row of the result is mixed from.
  package static func suitsGrid(rows: ResampleTaps, columns: ResampleTaps) -> Bool {
    Double(rows.reach) * Double(columns.count) * 4 <= 131_072
  }

  /// `mix` along the last axis and then along the one before, in float32, line by line, to the bit:
  /// dst [outer, rows.count, columns.count] from src [outer, height, width], both contiguous.
  ///
  /// False: no memory for the lines.
  package static func mixGrid(
    _ src: Tensor, outer: Int, height: Int, width: Int, rows: ResampleTaps, columns: ResampleTaps,
    into dst: Tensor, _ workspace: Workspace
  ) -> Bool {
    let (from, to) = (src.typed(Float.self), dst.typed(Float.self))
    let lines = outer * rows.count
    let reach = max(rows.reach, 1)
    // What a chunk begins with may be mixed in the one before too: not too short.
    let perChunk = max(8 * reach, (1 << 14) / max(columns.count, 1))
    var hasMemory = false
    withMixer(columns.weights.map { Float($0) }, extent: width, inner: 1, columns) { mixer in
      withMixer(
        rows.weights.map { Float($0) }, extent: height, inner: columns.count, rows
      ) { rowMixer in
        nonisolated(unsafe) let (mixer, rowMixer) = (mixer, rowMixer)
        hasMemory = WorkItems.run(
          (lines + perChunk - 1) / perChunk, isParallel: true, on: workspace.pool,
          scratchBytes: reach * columns.count * 4
        ) { chunk, scratch in
          let kept = scratch.assumingMemoryBound(to: Float.self)
          var tags = [Int](repeating: -1, count: reach)
          for line in chunk * perChunk..<min((chunk + 1) * perChunk, lines) {
            let (block, place) = line.quotientAndRemainder(dividingBy: rows.count)
            let range = rowMixer.starts[place]..<rowMixer.starts[place + 1]
            for tap in range {
              let source = block * height + rowMixer.indices[tap]
              let slot = source % reach
              if tags[slot] == source { continue }
              tags[slot] = source
              mixer.mixLine(
                0..<columns.count, from + source * width, kept + slot * columns.count)
            }
            rowMixer.mixRow(range, to + line * columns.count) { tap -> UnsafePointer<Float> in
              let slot = (block * height + rowMixer.indices[tap]) % reach
              return UnsafePointer(kept + slot * columns.count)
            }
          }
        }
      }
    }
    return hasMemory
  }
}

extension Resampling {
  /// Makes mixed float32 `values` ready for the cast to the integers of `dtype`, in place: rounded to
  /// nearest, or else such that the cast truncates what is an integer but for rounding to that
  /// integer. 8- and 16-bit integers are saturated, since cubic filters overshoot.
  package static func settle(_ values: Tensor, as dtype: DType, rounds: Bool) {
    let range: ClosedRange<Float>
    switch dtype {
    case .int8: range = -128...127
    case .uint8: range = 0...255
    case .int16: range = -32768...32767
    case .uint16: range = 0...65535
    case .int32, .int64, .uint32, .uint64:
      range = -(.greatestFiniteMagnitude) ... .greatestFiniteMagnitude
    default: return
    }
    let elements = values.typed(Float.self)
    for index in 0..<values.count {
      let value = elements[index]
      let settled = rounds ? (value + 0.5).rounded(.down) : value + (value < 0 ? -slack : slack)
      elements[index] = min(max(settled, range.lowerBound), range.upperBound)
    }
  }

  /// The same for mixed float64 `values`, truncated: all integers are saturated.
  package static func settle(_ values: Tensor, as dtype: DType) {
    guard dtype.isInteger else { return }
    let bound = Double(sign: .plus, exponent: dtype.bitWidth, significand: 1)
    // The first number beyond the type; of those of 64 bits the greatest float64 below it.
    let end = dtype.isSignedInteger ? bound / 2 : bound
    let most = dtype.bitWidth == 64 ? end.nextDown : end - 1
    let least = dtype.isSignedInteger ? -end : 0
    let elements = values.typed(Double.self)
    for index in 0..<values.count {
      let value = elements[index]
      elements[index] = min(max(value + (value < 0 ? -0x1p-20 : 0x1p-20), least), most)
    }
  }

  /// More than the error of mixing 8-bit values.
  private static let slack: Float = 1 / 1024
}

/// Places of a line each mixed from an element and the next, as kernels take them.
private struct NeighbourTaps {
  /// The first of the two; both exist. Weights: of the first, then of the second; 0 for none.
  private(set) var places: [Int32]
  private(set) var weights: [Float]
  /// Places that are mixed from others.
  private(set) var others: [Int] = []

  /// Nil where most places are of another kind.
  init?(_ taps: ResampleTaps, extent: Int) {
    guard extent >= 2, extent < Int(Int32.max) else { return nil }
    let count = taps.count
    places = [Int32](repeating: 0, count: count)
    weights = [Float](repeating: 0, count: 2 * count)
    for place in 0..<count {
      let range = taps.starts[place]..<taps.starts[place + 1]
      guard let first = range.first else { continue }
      let index = taps.indices[first]
      if range.count == 2, taps.indices[first + 1] == index + 1 {
        places[place] = Int32(index)
        weights[place] = Float(taps.weights[first])
        weights[count + place] = Float(taps.weights[first + 1])
      } else if range.count == 1 {
        let isLast = index == extent - 1
        places[place] = Int32(isLast ? index - 1 : index)
        weights[isLast ? count + place : place] = Float(taps.weights[first])
      } else {
        others.append(place)
        if others.count > 8 + count / 8 { return nil }
      }
    }
  }
}

/// The taps of an axis as buffers, for one thread.
private struct Mixer<T: RealElement> {
  let extent: Int
  let inner: Int
  let count: Int
  let starts: UnsafeBufferPointer<Int>
  let indices: UnsafeBufferPointer<Int>
  let weights: UnsafeBufferPointer<T>
  /// Of float32 lines, where kernels serve.
  let pairs: NeighbourTaps?

  /// Rows `range` of the result, a row being `inner` elements of one place.
  @inline(__always)
  func run(_ range: Range<Int>, _ src: UnsafePointer<T>, _ dst: UnsafeMutablePointer<T>) {
    var (block, place) = range.lowerBound.quotientAndRemainder(dividingBy: max(count, 1))
    var row = range.lowerBound
    while row < range.upperBound {
      let lines = src + block * extent * inner
      let end = min(range.upperBound, row + count - place)
      if inner == 1 {
        mixLine(place..<place + (end - row), lines, dst + row)
      } else {
        for offset in 0..<end - row {
          let taps = starts[place + offset]..<starts[place + offset + 1]
          mixRow(taps, dst + (row + offset) * inner) { lines + indices[$0] * inner }
        }
      }
      row = end
      (block, place) = (block + 1, 0)
    }
  }

  /// Places of one line, an element each.
  @inline(__always)
  func mixLine(_ places: Range<Int>, _ line: UnsafePointer<T>, _ out: UnsafeMutablePointer<T>) {
    if let pairs, places.count == count {
      VectorKernels.chosen.table.mix_neighbours(
        Int64(count), UnsafeRawPointer(line).assumingMemoryBound(to: Float.self), pairs.places,
        pairs.weights, UnsafeMutableRawPointer(out).assumingMemoryBound(to: Float.self))
      for place in pairs.others { mixPlaces(place..<place + 1, line, out + place) }
    } else {
      mixPlaces(places, line, out)
    }
  }

  @inline(__always)
  private func mixPlaces(
    _ places: Range<Int>, _ line: UnsafePointer<T>, _ out: UnsafeMutablePointer<T>
  ) {
    var tap = starts[places.lowerBound]
    for (index, place) in places.enumerated() {
      let end = starts[place + 1]
      var sum = T.zero
      while tap < end {
        sum += weights[tap] * line[indices[tap]]
        tap += 1
      }
      out[index] = sum
    }
  }

  /// One place of `inner` elements, `line` being the elements of a tap.
  @inline(__always)
  func mixRow(
    _ taps: Range<Int>, _ out: UnsafeMutablePointer<T>, line: (Int) -> UnsafePointer<T>
  ) {
    var tap = taps.lowerBound
    if taps.isEmpty {
      for i in 0..<inner { out[i] = 0 }
    } else if taps.count == 1 {
      let (weight, line) = (weights[tap], line(tap))
      for i in 0..<inner { out[i] = 0 + weight * line[i] }
      return
    } else {
      mix(weights[tap], line(tap), weights[tap + 1], line(tap + 1), into: out)
      tap += 2
    }
    while tap < taps.upperBound {
      let (weight, line) = (weights[tap], line(tap))
      for i in 0..<inner { out[i] += weight * line[i] }
      tap += 1
    }
  }

  /// out = (0 + a * first) + b * second: from 0, as if each tap were added by itself.
  @inline(__always)
  private func mix(
    _ a: T, _ first: UnsafePointer<T>, _ b: T, _ second: UnsafePointer<T>,
    into out: UnsafeMutablePointer<T>
  ) {
    if let a = a as? Float, let b = b as? Float {
      VectorKernels.chosen.table.mix_lines(
        Int64(inner), a, UnsafeRawPointer(first).assumingMemoryBound(to: Float.self), b,
        UnsafeRawPointer(second).assumingMemoryBound(to: Float.self),
        UnsafeMutableRawPointer(out).assumingMemoryBound(to: Float.self))
      return
    }
    for i in 0..<inner { out[i] = (0 + a * first[i]) + b * second[i] }
  }
}
