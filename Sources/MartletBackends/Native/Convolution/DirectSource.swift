import MartletCore
import MartletKernels

/// What `DirectConvolution` reads of one image and group, and where pixels and terms lie in it.
struct DirectSource {
  enum Form {
    /// The image itself, its pixels in areas that have the same taps within it.
    case areas
    /// A copy of the rows and columns that a block reaches, padding included.
    case band
    /// The block's pixels, tile by tile: one tap, no padding.
    case tiles
  }

  let form: Form
  private let problem: ConvolutionProblem
  private let kernels: mk_conv_kernels
  private let nr: Int
  /// Runs of output rows, and of columns, that have the same taps.
  private let down: [Run]
  private let across: [Run]
  /// Channels that a list of terms covers.
  private let listChannels: Int

  /// Terms of a list at most: their weights, and what a tile reads of the image for them, stay in L1
  /// while the block's pixels pass by. Tiles that lie together leave room for more. (144 to 256 were up
  /// to 4% faster than 384 in 3x3 layers of stride 2, AVX2.)
  private static let listTerms = 192
  private static let listTermsInTiles = 320
  private static let mostAreas = 64

  /// Output positions along an axis, and the taps that they have.
  struct Run {
    var range: Range<Int>
    var taps: Range<Int>
  }

  init(_ problem: ConvolutionProblem, _ kernels: mk_conv_kernels, nr: Int) {
    self.problem = problem
    self.kernels = kernels
    self.nr = nr
    let (input, kernel, output) = (problem.input, problem.kernel, problem.output)
    let exactDown = DirectSource.runs(
      output.h, input.h, kernel.h, problem.stride.h, problem.dilation.h, problem.padding.h)
    let exactAcross = DirectSource.runs(
      output.w, input.w, kernel.w, problem.stride.w, problem.dilation.w, problem.padding.w)
    let wholeDown = DirectSource.merged(exactDown, output.h)
    let wholeAcross = DirectSource.merged(exactAcross, output.w)
    let areas = exactDown.count * exactAcross.count
    if areas == 1 {
      form = wholeDown.taps.count * wholeAcross.taps.count == 1 ? .tiles : .areas
    } else {
      // Terms per channel and panel of output channels; a tile of few pixels costs as much as one of
      // four, and a copied element as much as a quarter of a term.
      let blockRows = max(1, DirectConvolution.mostPixels / max(output.w, 1))
      let most = max(1, Int(kernels.pixels))
      var work = 0.0
      for vertical in exactDown {
        let pieces = max(1, (vertical.range.count + blockRows - 1) / blockRows)
        for horizontal in exactAcross {
          let pixels = (vertical.range.count * horizontal.range.count + pieces - 1) / pieces
          let cost = max(pixels, 4 * ((pixels + most - 1) / most))
          work +=
            Double(pieces) * Double(cost) * Double(vertical.taps.count * horizontal.taps.count)
        }
      }
      let panels = (problem.groupRows + nr - 1) / nr
      let taps = Double(wholeDown.taps.count * wholeAcross.taps.count)
      let padded =
        Double(output.count) * taps + Double(input.count) / Double(4 * max(panels, 1))
      form = areas <= DirectSource.mostAreas && work <= padded ? .areas : .band
    }
    down = form == .areas ? exactDown : [wholeDown]
    across = form == .areas ? exactAcross : [wholeAcross]
    let depth = problem.inChannels / problem.groups
    let taps = wholeDown.taps.count * wholeAcross.taps.count
    let terms = form == .tiles ? DirectSource.listTermsInTiles : DirectSource.listTerms
    let most = max(1, terms / max(taps, 1))
    let lists = max(1, (depth + most - 1) / most)
    listChannels = max(1, (depth + lists - 1) / lists)
  }

  private static func runs(
    _ output: Int, _ input: Int, _ kernel: Int, _ stride: Int, _ dilation: Int, _ padding: Int
  ) -> [Run] {
    var runs: [Run] = []
    var position = 0
    while position < output {
      let first = position * stride - padding
      // Taps t with first + t * dilation within 0..<input.
      let low = first >= 0 ? 0 : min(kernel, (dilation - 1 - first) / dilation)
      let high = first >= input ? low : max(low, min(kernel, (input - 1 - first) / dilation + 1))
      var next = position + 1
      if low == 0, high == kernel {
        // So do all positions up to the last whose last tap is within.
        let last = (input - 1 - (kernel - 1) * dilation + padding) / stride
        next = min(output, max(next, last + 1))
      }
      if let last = runs.indices.last, runs[last].taps == low..<high {
        runs[last].range = runs[last].range.lowerBound..<next
      } else {
        runs.append(Run(range: position..<next, taps: low..<high))
      }
      position = next
    }
    return runs
  }

  /// One run of all positions with every tap from the first to the last that is within the image
  /// anywhere.
  private static func merged(_ runs: [Run], _ output: Int) -> Run {
    let taps = runs.map(\.taps).filter { !$0.isEmpty }
    let low = taps.map(\.lowerBound).min() ?? 0
    return Run(range: 0..<output, taps: low..<(taps.map(\.upperBound).max() ?? low))
  }

  private var depth: Int { problem.inChannels / problem.groups }

  // ----------------------------------------------------------------------------- blocks

  /// Rows and columns of a band.
  private func bandExtents(rows: Int, columns: Int) -> (rows: Int, columns: Int) {
    (
      (rows - 1) * problem.stride.h + (down[0].taps.count - 1) * problem.dilation.h + 1,
      (columns - 1) * problem.stride.w + (across[0].taps.count - 1) * problem.dilation.w + 1
    )
  }

  /// Bytes of what is copied for a block.
  func byteCount(rows: Int, columns: Int) -> Int {
    switch form {
    case .areas: return 0
    case .band:
      let band = bandExtents(rows: rows, columns: columns)
      return (depth * band.rows * band.columns + 16) * 4
    case .tiles:
      let tiles = (rows * columns + Int(kernels.pixels) - 1) / Int(kernels.pixels)
      return (tiles * depth * Int(kernels.tile_width)) * 4
    }
  }

  /// Calls `body` with each area's index and its part of a block, in the order of the block's places.
  func forEachArea(
    rows: Range<Int>, columns: Range<Int>, _ body: (Int, Range<Int>, Range<Int>) -> Void
  ) {
    for (i, vertical) in down.enumerated() {
      let y = vertical.range.clamped(to: rows)
      if y.isEmpty { continue }
      for (j, horizontal) in across.enumerated() {
        let x = horizontal.range.clamped(to: columns)
        if !x.isEmpty { body(i * across.count + j, y, x) }
      }
    }
  }

  /// Elements between a source's rows, and between its channels.
  private func strides(_ block: (rows: Int, columns: Int)) -> (row: Int, channel: Int) {
    switch form {
    case .areas: return (problem.input.w, problem.input.count)
    case .band:
      let band = bandExtents(rows: block.rows, columns: block.columns)
      return (band.columns, band.rows * band.columns)
    case .tiles: return (0, Int(kernels.tile_width))
    }
  }

  /// Fills in the places of a block's pixels, and `copy` where there is one; returns where the first
  /// channel is and the elements to the next. `block` is the extent of whole blocks.
  func prepare(
    _ image: UnsafePointer<Float>, rows: Range<Int>, columns: Range<Int>,
    block: (rows: Int, columns: Int), copy: UnsafeMutablePointer<Float>,
    places: UnsafeMutablePointer<mk_conv_place>
  ) -> (src: UnsafePointer<Float>, channelStride: Int) {
    let (stride, dilation, padding) = (problem.stride, problem.dilation, problem.padding)
    let (rowStride, channelStride) = strides(block)
    // Where a position's first tap is read: the image's coordinate, or the band's.
    let isBand = form == .band
    let top = rows.lowerBound * stride.h - padding.h + down[0].taps.lowerBound * dilation.h
    let left = columns.lowerBound * stride.w - padding.w + across[0].taps.lowerBound * dilation.w
    let imageStride = form == .tiles ? problem.input.w : rowStride
    var next = 0
    forEachArea(rows: rows, columns: columns) { area, ys, xs in
      let (i, j) = area.quotientAndRemainder(dividingBy: across.count)
      let first = (down[i].taps, across[j].taps)
      for y in ys {
        let h =
          isBand
          ? (y - rows.lowerBound) * stride.h
          : y * stride.h - padding.h + first.0.lowerBound * dilation.h
        let w =
          isBand
          ? (xs.lowerBound - columns.lowerBound) * stride.w
          : xs.lowerBound * stride.w - padding.w + first.1.lowerBound * dilation.w
        let sums = (y - rows.lowerBound) * columns.count + xs.lowerBound - columns.lowerBound
        let isRead = !first.0.isEmpty && !first.1.isEmpty
        var place = mk_conv_place(
          src: isRead ? Int32(truncatingIfNeeded: h * imageStride + w) : 0,
          other: Int32(truncatingIfNeeded: sums * nr))
        let step = mk_conv_place(
          src: isRead ? Int32(truncatingIfNeeded: stride.w) : 0,
          other: Int32(truncatingIfNeeded: nr))
        for _ in 0..<xs.count {
          places[next] = place
          place.src &+= step.src
          place.other &+= step.other
          next += 1
        }
      }
    }
    switch form {
    case .areas: return (image, channelStride)
    case .band:
      let extents = bandExtents(rows: block.rows, columns: block.columns)
      var band = mk_conv_band()
      band.planes = Int64(depth)
      band.src = image
      (band.in_h, band.in_w) = (Int64(problem.input.h), Int64(problem.input.w))
      (band.y0, band.x0) = (Int64(top), Int64(left))
      (band.rows, band.columns) = (Int64(extents.rows), Int64(extents.columns))
      band.dst = copy
      kernels.band(&band)
    case .tiles: gather(image, count: next, into: copy, places)
    }
    return (UnsafePointer(copy), channelStride)
  }

  /// Copies the pixels tile by tile, which are dealt as the kernel deals them, and moves their places.
  private func gather(
    _ image: UnsafePointer<Float>, count: Int, into copy: UnsafeMutablePointer<Float>,
    _ places: UnsafeMutablePointer<mk_conv_place>
  ) {
    let width = Int(kernels.tile_width)
    var job = mk_conv_gather()
    job.channels = Int64(depth)
    job.src = image
    job.channel_stride = Int64(problem.input.count)
    job.pixels = UnsafePointer(places)
    job.count = Int64(count)
    job.most = Int64(kernels.pixels)
    job.dst = copy
    job.tile_width = Int64(width)
    kernels.gather(&job)
    let tiles = (count + Int(kernels.pixels) - 1) / Int(kernels.pixels)
    var next = 0
    for tile in 0..<tiles {
      let height = tile < count % tiles ? count / tiles + 1 : count / tiles
      for index in 0..<height {
        places[next].src = Int32(truncatingIfNeeded: tile * depth * width + index)
        next += 1
      }
    }
  }

  // ------------------------------------------------------------------------------ terms

  /// A list of terms per area, all in memory of the caller.
  struct Terms {
    typealias List = (first: UnsafePointer<mk_conv_place>, perChannel: Int)

    var lists: UnsafePointer<List>
    /// Channels that a list covers.
    var channels: Int
  }

  private var listBytes: Int { down.count * across.count * MemoryLayout<Terms.List>.stride }

  var termBytes: Int {
    let down = self.down.reduce(0) { $0 + $1.taps.count }
    let across = self.across.reduce(0) { $0 + $1.taps.count }
    return listBytes + max(64, down * across * listChannels * MemoryLayout<mk_conv_place>.stride)
  }

  func fillTerms(
    _ memory: UnsafeMutableRawPointer, block: (rows: Int, columns: Int)
  ) -> Terms {
    let (rowStride, channelStride) = strides(block)
    let lists = memory.assumingMemoryBound(to: Terms.List.self)
    var next = (memory + listBytes).assumingMemoryBound(to: mk_conv_place.self)
    var list = lists
    for vertical in down.lazy.map(\.taps) {
      for horizontal in across.lazy.map(\.taps) {
        list.initialize(to: (UnsafePointer(next), vertical.count * horizontal.count))
        list += 1
        for channel in 0..<listChannels {
          for kh in vertical {
            let row =
              channel * channelStride + (kh - vertical.lowerBound) * problem.dilation.h * rowStride
            for kw in horizontal {
              let tap = (channel * problem.kernel.h + kh) * problem.kernel.w + kw
              next.pointee = mk_conv_place(
                src: Int32(
                  truncatingIfNeeded: row + (kw - horizontal.lowerBound) * problem.dilation.w),
                other: Int32(truncatingIfNeeded: tap * nr))
              next += 1
            }
          }
        }
      }
    }
    return Terms(lists: UnsafePointer(lists), channels: listChannels)
  }
}
