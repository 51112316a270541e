import MartletCore

@testable import MartletOperators

/// A random transposed convolution and its result by the definition, in float64.
struct ConvTransposeCase {
  var input: [Int]
  var weight: [Int]
  var groups: Int
  var strides: [Int]
  var dilations: [Int]
  var begin: [Int]
  var end: [Int]
  var outputPadding: [Int]
  var outputShape: [Int]?
  var autoPad: String
  var hasBias: Bool

  /// The case of a seed.
  init(seed: Int) {
    var state = UInt64(seed) &* 0x9E37_79B9_7F4A_7C15 &+ 0x1234_5678_9ABC_DEF1
    func draw(_ range: ClosedRange<Int>) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return range.lowerBound + Int(state >> 33) % range.count
    }
    let axes = draw(1...3)
    func list(_ range: ClosedRange<Int>) -> [Int] { (0..<axes).map { _ in draw(range) } }
    groups = [1, 1, 2, 3][draw(0...3)]
    let isDepthwise = draw(0...4) == 0
    input = [draw(1...2), groups * (isDepthwise ? 1 : draw(1...4))] + list(1...5)
    weight = [input[1], draw(1...4)] + list(1...4)
    strides = list(1...3)
    dilations = list(1...3)
    let added = draw(0...1) == 0 ? list(0...2) : list(0...0)
    outputPadding = []
    for axis in 0..<axes {
      outputPadding.append(min(added[axis], max(strides[axis], dilations[axis]) - 1))
    }
    autoPad = ["NOTSET", "NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"][draw(0...4)]
    hasBias = draw(0...1) == 0
    begin = list(0...0)
    end = begin
    outputShape = nil
    let whole = (0..<axes).map { natural(axis: $0) }
    if draw(0...2) == 0 {
      outputShape = whole.map { max(1, $0 + draw(-4...2)) }
    } else if autoPad == "NOTSET" {
      begin = list(0...2)
      end = (0..<axes).map { min(draw(0...2), max(0, whole[$0] - begin[$0] - 1)) }
      begin = (0..<axes).map { min(begin[$0], whole[$0] - end[$0] - 1) }
    }
  }

  /// The extent of an axis without pads.
  private func natural(axis: Int) -> Int {
    let strides: Int = (input[axis + 2] - 1) * strides[axis]
    let reach: Int = (weight[axis + 2] - 1) * dilations[axis] + 1
    return strides + reach + outputPadding[axis]
  }

  var attributes: [String: AttributeValue] {
    var result: [String: AttributeValue] = [
      "group": .int(groups), "strides": .ints(strides), "dilations": .ints(dilations),
      "output_padding": .ints(outputPadding), "auto_pad": .string(autoPad),
    ]
    if autoPad == "NOTSET", outputShape == nil { result["pads"] = .ints(begin + end) }
    if let outputShape { result["output_shape"] = .ints(outputShape) }
    if input[2] % 2 == 0 { result["kernel_shape"] = .ints(Array(weight.dropFirst(2))) }
    return result
  }

  /// Leading pads and extents per spatial axis, as the operator's text has them.
  private var placed: (begin: [Int], output: [Int]) {
    var (begin, output) = (self.begin, [Int]())
    for axis in strides.indices {
      let whole = natural(axis: axis)
      let isSame = autoPad.hasPrefix("SAME")
      if let extent = outputShape?[axis] ?? (isSame ? input[axis + 2] * strides[axis] : nil) {
        let total = max(0, whole - extent)
        begin[axis] = autoPad == "SAME_UPPER" ? total / 2 : total - total / 2
        output.append(extent)
      } else {
        output.append(whole - begin[axis] - end[axis])
      }
    }
    return (begin, output)
  }

  /// Y's shape and values.
  func expected(_ x: [Double], _ w: [Double], _ b: [Double]?) -> (shape: [Int], values: [Double]) {
    let (begin, output) = placed
    let shape = [input[0], weight[1] * groups] + output
    let pixels = output.reduce(1, *)
    var y = [Double](repeating: 0, count: shape.reduce(1, *))
    for i in y.indices { y[i] = b?[i / pixels % shape[1]] ?? 0 }
    let kernel = Array(weight.dropFirst(2))
    let image = Array(input.dropFirst(2))
    let (taps, sources) = (kernel.reduce(1, *), image.reduce(1, *))
    let groupDepth = input[1] / groups
    for n in 0..<input[0] {
      for c in 0..<input[1] {
        for m in 0..<weight[1] {
          let channel = c / groupDepth * weight[1] + m
          for t in 0..<taps {
            for s in 0..<sources {
              var (tap, source, place, step) = (t, s, 0, 1)
              var isInside = true
              for axis in strides.indices.reversed() {
                let at =
                  source % image[axis] * strides[axis] + tap % kernel[axis] * dilations[axis]
                  - begin[axis]
                isInside = isInside && at >= 0 && at < output[axis]
                place += at * step
                step *= output[axis]
                source /= image[axis]
                tap /= kernel[axis]
              }
              guard isInside else { continue }
              y[(n * shape[1] + channel) * pixels + place] +=
                x[(n * input[1] + c) * sources + s] * w[(c * weight[1] + m) * taps + t]
            }
          }
        }
      }
    }
    return (shape, y)
  }
}
