import MartletCore
import MartletKernels

/// Pooling of planes: the maximum, the mean or a norm of a window that slides over up to three axes.
package struct PoolingProblem {
  package var planes: Int
  package var input: SpatialExtents
  package var kernel: SpatialExtents
  package var output: SpatialExtents
  package var stride: SpatialExtents
  package var dilation: SpatialExtents
  package var padding: SpatialExtents
  package var paddingEnd: SpatialExtents
  package var isMax: Bool
  /// A mean divides by the taps inside the declared padding too.
  package var countsPadding: Bool
  /// Windows give the root of the sum of this power of their magnitudes, over the taps inside the image,
  /// and neither maximum nor mean.
  package var power: Int?
  /// Indices count positions along the first spatial axis fastest (ONNX storage_order 1).
  package var indexesColumns = false

  package init(
    planes: Int, input: SpatialExtents, kernel: SpatialExtents, output: SpatialExtents,
    stride: SpatialExtents, dilation: SpatialExtents, padding: SpatialExtents,
    paddingEnd: SpatialExtents, isMax: Bool, countsPadding: Bool
  ) {
    self.planes = planes
    self.input = input
    self.kernel = kernel
    self.output = output
    self.stride = stride
    self.dilation = dilation
    self.padding = padding
    self.paddingEnd = paddingEnd
    self.isMax = isMax
    self.countsPadding = countsPadding
  }

  /// dst [planes, output] from src [planes, input], both contiguous and of one dtype (not a 16-bit
  /// float; means and norms need f32 or f64). `indices`, int64 of dst's shape, receives where each maximum
  /// was found first, counted over all of src. NaN is the maximum of any window that has one.
  package func run(src: Tensor, dst: Tensor, indices: Tensor?, pool: ThreadPool) {
    // Without planes, or places, the other extents may be more than there are bytes.
    guard output.count > 0, planes > 0 else { return }
    let (from, to) = (src.pointer, dst.pointer)
    // In floating point: a window that is mostly padding may be larger than any memory.
    let work = Double(output.count) * Double(kernel.count)
    let perItem = max(1, Int(32768 / max(work, 1)))
    let items = (planes + perItem - 1) / perItem
    func forEachItem(_ body: (Range<Int>) -> Void) {
      func runItem(_ item: Int) {
        body(item * perItem..<min((item + 1) * perItem, planes))
      }
      if items == 1 { return runItem(0) }
      pool.parallelFor(items, runItem)
    }
    if src.dtype == .float32, indices == nil, power == nil, isPlanar {
      let kernel = VectorKernels.chosen.table.pool2d
      forEachItem { planes in
        var job = planarJob
        job.planes = Int64(planes.count)
        job.src =
          UnsafePointer(from.assumingMemoryBound(to: Float.self)) + planes.lowerBound * input.count
        job.dst = to.assumingMemoryBound(to: Float.self) + planes.lowerBound * output.count
        kernel(&job)
      }
    } else if src.dtype == .float32, indices == nil, power == nil, hasSlicesInAllWindows {
      forEachItem { planes in
        for plane in planes {
          let source = UnsafePointer(from.assumingMemoryBound(to: Float.self)) + plane * input.count
          let target = to.assumingMemoryBound(to: Float.self) + plane * output.count
          if !foldSlices(source, target) {
            src.dtype.visit(
              PlaneLoop(problem: self, plane: plane, src: from, dst: to, indices: nil))
          }
        }
      }
    } else {
      let places = indices?.typed(Int64.self)
      forEachItem { planes in
        for plane in planes {
          src.dtype.visit(
            PlaneLoop(problem: self, plane: plane, src: from, dst: to, indices: places))
        }
      }
    }
  }

  /// What a tap adds to a window's sum.
  @inline(__always)
  fileprivate func summand(_ value: Double) -> Double {
    switch power {
    case nil: value
    case 1: value.magnitude
    case 2: value * value
    case let power?: Double.power(value.magnitude, Double(power))
    }
  }

  fileprivate static func root(_ sum: Double, _ power: Int) -> Double {
    switch power {
    case 1: sum
    case 2: sum.squareRoot()
    default: Double.power(sum, 1 / Double(power))
    }
  }

  private var isPlanar: Bool {
    input.d == 1 && kernel.d == 1 && output.d == 1 && padding.d == 0 && paddingEnd.d == 0
  }

  /// Whether each window has a slice of the image in it.
  private var hasSlicesInAllWindows: Bool {
    (0..<output.d).allSatisfy { taps($0).inside.count > 0 }
  }

  /// The slices that the windows at output slice `place` have in them.
  private func taps(_ place: Int) -> Taps {
    Taps(place, input.d, kernel.d, stride.d, dilation.d, padding.d, paddingEnd.d)
  }

  /// The maximum or mean over three axes: of each slice's windows first, then of those along the first axis.
  /// False, with nothing done, where there is no memory for what comes of the slices.
  private func foldSlices(
    _ source: UnsafePointer<Float>, _ target: UnsafeMutablePointer<Float>
  ) -> Bool {
    let size = output.h * output.w
    let (bytes, overflow) = (size * 4).multipliedReportingOverflow(by: input.d)
    guard !overflow else { return false }
    return ThreadScratch.withBytes(bytes, .item) { scratch in
      let folded = scratch.assumingMemoryBound(to: Float.self)
      var job = planarJob
      job.planes = Int64(input.d)
      job.src = source
      job.dst = folded
      VectorKernels.chosen.table.pool2d(&job)
      let accumulate = VectorKernels.chosen.accumulate[isMax ? MK_REDUCE_MAX : MK_REDUCE_SUM]
      for place in 0..<output.d {
        let out = target + place * size
        let taps = taps(place)
        for (step, slice) in taps.inside.enumerated() {
          if step == 0 {
            out.update(from: folded + slice * size, count: size)
          } else {
            accumulate(Int64(size), folded + slice * size, out)
          }
        }
        if isMax { continue }
        let count = Float(countsPadding ? taps.padded : taps.inside.count)
        for index in 0..<size { out[index] /= count }
      }
    }
  }

  private var planarJob: mk_pool2d {
    var job = mk_pool2d()
    job.in_h = Int64(input.h)
    job.in_w = Int64(input.w)
    job.out_h = Int64(output.h)
    job.out_w = Int64(output.w)
    job.ker_h = Int64(kernel.h)
    job.ker_w = Int64(kernel.w)
    job.stride_h = Int64(stride.h)
    job.stride_w = Int64(stride.w)
    job.dil_h = Int64(dilation.h)
    job.dil_w = Int64(dilation.w)
    job.pad_h = Int64(padding.h)
    job.pad_w = Int64(padding.w)
    job.pad_h_end = Int64(paddingEnd.h)
    job.pad_w_end = Int64(paddingEnd.w)
    job.is_max = isMax
    job.count_include_pad = countsPadding
    return job
  }
}

/// One plane in plain loops: any dtype, three axes, indices.
private struct PlaneLoop: ElementVisitor {
  let problem: PoolingProblem
  let plane: Int
  let src: UnsafeMutableRawPointer
  let dst: UnsafeMutableRawPointer
  let indices: UnsafeMutablePointer<Int64>?

  func visit<T: Element>(_: T.Type) {
    let p = problem
    let source = src.assumingMemoryBound(to: T.self) + plane * p.input.count
    let target = dst.assumingMemoryBound(to: T.self) + plane * p.output.count
    var next = 0
    for od in 0..<p.output.d {
      let ds = Taps(
        od, p.input.d, p.kernel.d, p.stride.d, p.dilation.d, p.padding.d, p.paddingEnd.d)
      for oh in 0..<p.output.h {
        let hs = Taps(
          oh, p.input.h, p.kernel.h, p.stride.h, p.dilation.h, p.padding.h, p.paddingEnd.h)
        for ow in 0..<p.output.w {
          let ws = Taps(
            ow, p.input.w, p.kernel.w, p.stride.w, p.dilation.w, p.padding.w, p.paddingEnd.w)
          var best = T.lowest
          var place = -1
          var sum = 0.0
          for d in ds.inside {
            for h in hs.inside {
              for w in ws.inside {
                let index = (d * p.input.h + h) * p.input.w + w
                let value = source[index]
                if p.isMax {
                  if place < 0 || value > best || (value.isNaNValue && !best.isNaNValue) {
                    best = value
                    place = index
                  }
                } else {
                  sum += p.summand(value.asDouble)
                }
              }
            }
          }
          if p.isMax {
            target[next] = best
            if let indices {
              indices[plane * p.output.count + next] = Int64(position(max(place, 0)))
            }
          } else if let power = p.power {
            target[next] = T(converting: PoolingProblem.root(sum, power))
          } else {
            let count =
              p.countsPadding
              ? ds.padded * hs.padded * ws.padded
              : ds.inside.count * hs.inside.count * ws.inside.count
            target[next] = T(converting: sum / Double(count))
          }
          next += 1
        }
      }
    }
  }

  /// The index over all of src of position `index` of this plane.
  private func position(_ index: Int) -> Int {
    let p = problem
    guard p.indexesColumns else { return plane * p.input.count + index }
    let w = index % p.input.w
    let h = index / p.input.w % p.input.h
    let d = index / p.input.w / p.input.h
    return plane * p.input.count + (w * p.input.h + h) * p.input.d + d
  }
}

/// The taps of one axis at one output position.
private struct Taps {
  /// Image coordinates of the taps inside the image.
  let inside: StrideTo<Int>.Elements
  /// Number of taps inside the declared padding.
  let padded: Int

  init(
    _ output: Int, _ extent: Int, _ kernel: Int, _ stride: Int, _ dilation: Int, _ pad: Int,
    _ padEnd: Int
  ) {
    let first = output * stride - pad
    let skipped = first < 0 ? (-first + dilation - 1) / dilation : 0
    let end = min(extent, first + (kernel - 1) * dilation + 1)
    inside = StrideTo<Int>.Elements(from: first + skipped * dilation, to: end, by: dilation)
    let paddedEnd = min(extent + padEnd, first + (kernel - 1) * dilation + 1)
    padded = max(0, (paddedEnd - first + dilation - 1) / dilation)
  }
}

extension StrideTo where Element == Int {
  /// An arithmetic progression with a count.
  fileprivate struct Elements: Sequence {
    let from: Int
    let to: Int
    let by: Int

    var count: Int { from < to ? (to - from + by - 1) / by : 0 }

    func makeIterator() -> StrideToIterator<Int> {
      stride(from: from, to: Swift.max(from, to), by: by).makeIterator()
    }
  }
}
