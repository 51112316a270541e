import MartletKernels
import Testing

/// One convolution's geometry; the arrays run over depth, height, width.
struct ConvGeometry: CustomTestStringConvertible, Sendable {
  var channels = 2
  var input = [1, 9, 11]
  var kernel = [1, 3, 3]
  var stride = [1, 1, 1]
  var dilation = [1, 1, 1]
  var pad = [0, 1, 1]
  var padEnd = [0, 1, 1]

  var output: [Int] {
    (0..<3).map {
      (input[$0] + pad[$0] + padEnd[$0] - dilation[$0] * (kernel[$0] - 1) - 1) / stride[$0] + 1
    }
  }
  var k: Int { channels * kernel.reduce(1, *) }
  var n: Int { output.reduce(1, *) }
  var testDescription: String {
    "c\(channels) \(input) kernel \(kernel) stride \(stride) dilation \(dilation) pad \(pad)"
  }

  /// The image index that row `k` and column `n` of the im2col matrix read; nil in the padding.
  /// `byTap`: k runs over the taps and, within each, the channels.
  func source(_ k: Int, _ n: Int, byTap: Bool) -> Int? {
    let taps = kernel
    let count = taps[0] * taps[1] * taps[2]
    let (channel, at) = byTap ? (k % channels, k / channels) : (k / count, k % count)
    return source(
      channel: channel, tap: [at / (taps[2] * taps[1]), at / taps[2] % taps[1], at % taps[2]], n)
  }

  private func source(channel: Int, tap: [Int], _ n: Int) -> Int? {
    let at = [n / (output[2] * output[1]), n / output[2] % output[1], n % output[2]]
    var index = channel
    for axis in 0..<3 {
      let x = at[axis] * stride[axis] - pad[axis] + tap[axis] * dilation[axis]
      guard x >= 0, x < input[axis] else { return nil }
      index = index * input[axis] + x
    }
    return index
  }
}

@Suite("Packing of convolutions")
struct PackConvTests {
  static let geometries: [ConvGeometry] = [
    ConvGeometry(),
    ConvGeometry(kernel: [1, 1, 1], pad: [0, 0, 0], padEnd: [0, 0, 0]),
    ConvGeometry(kernel: [1, 1, 1], stride: [1, 2, 2], pad: [0, 0, 0], padEnd: [0, 0, 0]),
    ConvGeometry(input: [1, 20, 37], stride: [1, 2, 2]),
    ConvGeometry(
      channels: 3, input: [1, 23, 45], kernel: [1, 7, 7], stride: [1, 2, 2], pad: [0, 3, 3],
      padEnd: [0, 3, 3]),
    ConvGeometry(input: [1, 7, 70]),
    ConvGeometry(input: [1, 3, 3], kernel: [1, 5, 5], pad: [0, 4, 4], padEnd: [0, 4, 4]),
    ConvGeometry(input: [1, 12, 40], stride: [1, 3, 3], dilation: [1, 2, 2]),
    ConvGeometry(input: [1, 12, 40], dilation: [1, 3, 4], pad: [0, 0, 2], padEnd: [0, 3, 7]),
    ConvGeometry(
      input: [5, 6, 7], kernel: [3, 2, 3], stride: [2, 1, 2], dilation: [1, 2, 1],
      pad: [1, 0, 2], padEnd: [2, 1, 0]),
    ConvGeometry(input: [1, 1, 100], kernel: [1, 1, 5], pad: [0, 0, 4], padEnd: [0, 0, 0]),
    ConvGeometry(input: [1, 16, 48], kernel: [1, 16, 16], stride: [1, 16, 16]),
    // Too wide a kernel to keep what every tap masks.
    ConvGeometry(
      channels: 1, input: [1, 1, 150], kernel: [1, 1, 65], pad: [0, 0, 30], padEnd: [0, 0, 34]),
    ConvGeometry(
      channels: 1, input: [1, 2, 300], kernel: [1, 1, 65], stride: [1, 1, 2], pad: [0, 0, 32],
      padEnd: [0, 0, 0]),
    ConvGeometry(
      input: [1, 4, 1], kernel: [1, 3, 1], pad: [0, 1, 0], padEnd: [0, 1, 0]),
  ]

  @Test("Panels hold the im2col matrix", arguments: KernelRow.runnable, geometries)
  func panels(row: KernelRow, geometry g: ConvGeometry) throws {
    var random = SeededGenerator(seed: 5)
    let elements = g.channels * g.input.reduce(1, *)
    let values = (0..<elements).map { _ in random.value() }
    let (k, n) = (g.k, g.n)
    let parts = [
      (0, k, 0, n), (1, k - 1, 0, min(n, row.nr)), (k / 2, k - k / 2, n / 3, n - n / 3),
      (k - 1, 1, n - 1, 1), (0, k, n / 2, 0), (0, 0, 0, n),
    ]
    for edge in GuardedBuffer.Edge.allCases {
      let image = try GuardedBuffer(elements * 4, edge)
      for i in 0..<elements { image.floats()[i] = values[i] }
      for (k0, depth, n0, columns) in parts where depth >= 0 {
        let words = row.panels(columns) * row.panelBytes(depth) / 4
        var expected = [UInt32](repeating: 0, count: words)
        for p in 0..<depth {
          for j in 0..<columns {
            guard let at = g.source(k0 + p, n0 + j, byTap: row.isBF16) else { continue }
            let word = j / row.nr * row.panelBytes(depth) / 4 + p / row.kr * row.nr + j % row.nr
            expected[word] |=
              row.isBF16
              ? UInt32(roundedToBF16(values[at])) << (p % 2 == 0 ? 0 : 16)
              : values[at].bitPattern
          }
        }
        let panels = try GuardedBuffer(words * 4, edge)
        var pack = mk_pack_conv()
        (pack.k0, pack.k, pack.n0, pack.n) = (Int64(k0), Int64(depth), Int64(n0), Int64(columns))
        pack.src = UnsafePointer(image.floats())
        pack.channels = Int64(g.channels)
        let (input, kernel, output) = (g.input.map(Int64.init), g.kernel, g.output)
        (pack.in_d, pack.in_h, pack.in_w) = (input[0], input[1], input[2])
        (pack.ker_d, pack.ker_h, pack.ker_w) = (
          Int64(kernel[0]), Int64(kernel[1]), Int64(kernel[2])
        )
        (pack.out_d, pack.out_h, pack.out_w) = (
          Int64(output[0]), Int64(output[1]), Int64(output[2])
        )
        (pack.stride_d, pack.stride_h, pack.stride_w) = (
          Int64(g.stride[0]), Int64(g.stride[1]), Int64(g.stride[2])
        )
        (pack.dil_d, pack.dil_h, pack.dil_w) = (
          Int64(g.dilation[0]), Int64(g.dilation[1]), Int64(g.dilation[2])
        )
        (pack.pad_d, pack.pad_h, pack.pad_w) = (
          Int64(g.pad[0]), Int64(g.pad[1]), Int64(g.pad[2])
        )
        pack.dst = panels.bytes
        pack.dst_panel_stride = Int64(row.panelBytes(depth))
        row.row.pointee.pack_conv(&pack)
        let packed = (0..<words).map {
          panels.bytes.load(fromByteOffset: $0 * 4, as: UInt32.self)
        }
        #expect(packed == expected, "k \(k0)+\(depth), n \(n0)+\(columns), \(edge)")
      }
    }
  }
}
