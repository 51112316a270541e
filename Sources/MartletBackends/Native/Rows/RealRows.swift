/// The row functions in plain arithmetic: float64, and float32 where there is no kernel.
enum RealRows {
  static func softmax<T: RealElement>(
    _ n: Int, _ src: UnsafePointer<T>, _ dst: UnsafeMutablePointer<T>, _ isLogarithm: Bool
  ) {
    var top = -T.infinity
    for i in 0..<n { top = T.greatest(top, src[i]) }
    var sum = T.zero
    if isLogarithm {
      for i in 0..<n { sum += T.exp(src[i] - top) }
      let logarithm = T.log(sum)
      for i in 0..<n { dst[i] = src[i] - top - logarithm }
    } else {
      for i in 0..<n {
        dst[i] = T.exp(src[i] - top)
        sum += dst[i]
      }
      for i in 0..<n { dst[i] = dst[i] / sum }
    }
  }

  static func layerNorm<T: RealElement>(
    _ n: Int, _ src: UnsafePointer<T>, _ scale: UnsafePointer<T>?, _ bias: UnsafePointer<T>?,
    _ epsilon: Float, _ dst: UnsafeMutablePointer<T>, _ meanOut: UnsafeMutablePointer<Float>?,
    _ inverseOut: UnsafeMutablePointer<Float>?
  ) {
    var sum = T.zero
    for i in 0..<n { sum += src[i] }
    let mean = sum / T(n)
    var squares = T.zero
    for i in 0..<n { squares += (src[i] - mean) * (src[i] - mean) }
    let inverse = 1 / (squares / T(n) + T(epsilon)).squareRoot()
    for i in 0..<n {
      let normal = (src[i] - mean) * inverse
      dst[i] = normal * (scale?[i] ?? 1) + (bias?[i] ?? 0)
    }
    meanOut?.pointee = Float(mean)
    inverseOut?.pointee = Float(inverse)
  }

  static func rmsNorm<T: RealElement>(
    _ n: Int, _ src: UnsafePointer<T>, _ scale: UnsafePointer<T>?, _ epsilon: Float,
    _ dst: UnsafeMutablePointer<T>
  ) {
    var squares = T.zero
    for i in 0..<n { squares += src[i] * src[i] }
    let inverse = 1 / (squares / T(n) + T(epsilon)).squareRoot()
    for i in 0..<n { dst[i] = src[i] * inverse * (scale?[i] ?? 1) }
  }
}
