import MartletCore

/// Sums the taps of a transposed convolution into planes of its result.
struct TapSum {
  private let layer: TransposedConvolution
  private let taps: UnsafeMutableRawPointer

  /// `taps`: [channels, kernel, pixels] of the layer's dtype.
  init(_ layer: TransposedConvolution, _ taps: UnsafeMutableRawPointer) {
    self.layer = layer
    self.taps = taps
  }

  /// The extent of the outermost spatial axis that has more than one element.
  var outerExtent: Int {
    let extents = layer.output
    return extents.d > 1 ? extents.d : extents.h > 1 ? extents.h : extents.w
  }

  /// Writes a part of a plane of dst (counted over images and channels) from the taps of `channel`:
  /// the `piece`th of `pieces` ranges of the outermost axis. What an element becomes does not depend
  /// on the pieces.
  func run(_ channel: Int, _ plane: Int, piece: Int, of pieces: Int) {
    let extent = outerExtent
    let (each, rest) = extent.quotientAndRemainder(dividingBy: pieces)
    let start = piece * each + min(piece, rest)
    let outer = start..<start + each + (piece < rest ? 1 : 0)
    let output = layer.output
    var box = Box(d: 0..<output.d, h: 0..<output.h, w: 0..<output.w)
    if output.d > 1 { box.d = outer } else if output.h > 1 { box.h = outer } else { box.w = outer }
    if layer.dtype == .float64 {
      write(Double.self, box, channel, plane)
    } else {
      write(Float.self, box, channel, plane)
    }
  }

  private struct Box {
    var d: Range<Int>
    var h: Range<Int>
    var w: Range<Int>
  }

  private func write<T: FloatingPoint>(_: T.Type, _ box: Box, _ channel: Int, _ plane: Int) {
    let (input, output, kernel) = (layer.input, layer.output, layer.kernel)
    let target = layer.dst.assumingMemoryBound(to: T.self) + plane * output.count
    let bias = layer.bias.map {
      $0.assumingMemoryBound(to: T.self)[plane % layer.outChannels]
    }
    for d in box.d {
      for h in box.h {
        let row = target + (d * output.h + h) * output.w + box.w.lowerBound
        row.update(repeating: bias ?? 0, count: box.w.count)
      }
    }
    var source = taps.assumingMemoryBound(to: T.self) + channel * kernel.count * input.count
    let (stride, dilation, padding) = (layer.stride, layer.dilation, layer.padding)
    for kd in 0..<kernel.d {
      let d = AxisTap(kd * dilation.d - padding.d, stride.d, input.d, box.d)
      for kh in 0..<kernel.h {
        let h = AxisTap(kh * dilation.h - padding.h, stride.h, input.h, box.h)
        for kw in 0..<kernel.w {
          let w = AxisTap(kw * dilation.w - padding.w, stride.w, input.w, box.w)
          let count = w.pixels.count
          for id in d.pixels where count > 0 {
            for ih in h.pixels {
              let from = source + (id * input.h + ih) * input.w + w.pixels.lowerBound
              let row = d.place(id) * output.h + h.place(ih)
              let to = target + row * output.w + w.place(w.pixels.lowerBound)
              if stride.w == 1 {
                for i in 0..<count { to[i] += from[i] }
              } else {
                for i in 0..<count { to[i &* stride.w] += from[i] }
              }
            }
          }
          source += input.count
        }
      }
    }
  }
}

/// Where one tap of each pixel falls along an axis.
private struct AxisTap {
  private let offset: Int
  private let stride: Int
  /// The pixels whose tap falls into the range.
  let pixels: Range<Int>

  /// Pixel i's tap falls on `i * stride + offset`, which is to lie in `range`.
  init(_ offset: Int, _ stride: Int, _ extent: Int, _ range: Range<Int>) {
    self.offset = offset
    self.stride = stride
    func first(_ bound: Int) -> Int {
      let distance = bound - offset
      return distance <= 0 ? 0 : min(extent, (distance - 1) / stride + 1)
    }
    let lower = first(range.lowerBound)
    pixels = lower..<max(lower, first(range.upperBound))
  }

  func place(_ pixel: Int) -> Int { pixel * stride + offset }
}
