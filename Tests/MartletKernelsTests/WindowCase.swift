/// The shape of a window that slides over a plane, with the plane's values.
struct WindowCase: Sendable {
  var inH = 1
  var inW = 1
  var kerH = 3
  var kerW = 3
  var strideH = 1
  var strideW = 1
  var dilH = 1
  var dilW = 1
  var padH = 0
  var padW = 0
  var padHEnd = 0
  var padWEnd = 0

  var outH: Int { (inH + padH + padHEnd - (kerH - 1) * dilH - 1) / strideH + 1 }
  var outW: Int { (inW + padW + padWEnd - (kerW - 1) * dilW - 1) / strideW + 1 }
  var fits: Bool {
    inH + padH + padHEnd > (kerH - 1) * dilH && inW + padW + padWEnd > (kerW - 1) * dilW
  }

  /// Every tap of an output: its place in the kernel and in the plane.
  func taps(_ y: Int, _ x: Int) -> [(ky: Int, kx: Int, iy: Int, ix: Int)] {
    (0..<kerH).flatMap { ky in
      (0..<kerW).map { kx in
        (ky, kx, y * strideH - padH + ky * dilH, x * strideW - padW + kx * dilW)
      }
    }
  }

  func contains(_ iy: Int, _ ix: Int) -> Bool { iy >= 0 && ix >= 0 && iy < inH && ix < inW }

  /// The layers that networks have, then random ones.
  static let all: [WindowCase] = {
    var cases: [WindowCase] = []
    for (size, kernel) in [(7, 3), (14, 3), (28, 3), (33, 3), (7, 5), (14, 5), (40, 5), (9, 7)] {
      for stride in [1, 2] {
        var each = WindowCase(inH: size, inW: size, kerH: kernel, kerW: kernel)
        (each.strideH, each.strideW) = (stride, stride)
        (each.padH, each.padW, each.padHEnd, each.padWEnd) =
          (kernel / 2, kernel / 2, kernel / 2, kernel / 2)
        cases.append(each)
      }
    }
    // Taller and wider than one tile; a kernel that no tile has room for.
    cases.append(WindowCase(inH: 150, inW: 60, padH: 1, padW: 1))
    cases.append(WindowCase(inH: 4, inW: 1100, kerH: 2, kerW: 3, padW: 1, padWEnd: 1))
    cases.append(WindowCase(inH: 3, inW: 200, kerH: 1, kerW: 70, padW: 10, padWEnd: 20))
    var generator = SeededGenerator(seed: 41)
    func pick(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &generator) }
    while cases.count < 160 {
      var each = WindowCase(inH: pick(1...20), inW: pick(1...60))
      (each.kerH, each.kerW) = (pick(1...6), pick(1...6))
      (each.strideH, each.strideW) = (pick(1...3), pick(1...4))
      (each.dilH, each.dilW) = (pick(1...3), pick(1...3))
      (each.padH, each.padW) = (pick(0...each.kerH), pick(0...each.kerW))
      (each.padHEnd, each.padWEnd) = (pick(0...2), pick(0...2))
      if each.fits { cases.append(each) }
    }
    return cases
  }()
}
