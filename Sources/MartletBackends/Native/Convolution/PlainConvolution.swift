import MartletCore

/// Convolution of float64 in plain loops, one output plane per work item.
package struct PlainConvolution {
  package let geometry: ConvolutionGeometry
  package let src: UnsafePointer<Double>
  package let weights: UnsafePointer<Double>
  package let bias: UnsafePointer<Double>?
  package let dst: UnsafeMutablePointer<Double>

  package init(
    _ geometry: ConvolutionGeometry, src: UnsafePointer<Double>, weights: UnsafePointer<Double>,
    bias: UnsafePointer<Double>?, dst: UnsafeMutablePointer<Double>
  ) {
    self.geometry = geometry
    self.src = src
    self.weights = weights
    self.bias = bias
    self.dst = dst
  }

  package func run(on pool: ThreadPool) throws(MartletError) -> Execution {
    try geometry.validate("conv")
    pool.parallelFor(geometry.batch * geometry.outChannels) { runPlane($0) }
    return Execution(backend: "native", kernel: "plain loops", precision: "fp64")
  }

  private func runPlane(_ plane: Int) {
    let g = geometry
    let (image, channel) = plane.quotientAndRemainder(dividingBy: g.outChannels)
    let groupIn = g.inChannels / g.groups
    let groupRows = g.outChannels / g.groups
    let firstIn = image * g.inChannels + channel / groupRows * groupIn
    let filter = weights + channel * groupIn * g.kernel.count
    var target = dst + plane * g.output.count
    for od in 0..<g.output.d {
      for oh in 0..<g.output.h {
        for ow in 0..<g.output.w {
          var sum = bias?[channel] ?? 0
          var tap = 0
          for c in 0..<groupIn {
            let source = src + (firstIn + c) * g.input.count
            for kd in 0..<g.kernel.d {
              let d = od * g.stride.d + kd * g.dilation.d - g.padding.d
              for kh in 0..<g.kernel.h {
                let h = oh * g.stride.h + kh * g.dilation.h - g.padding.h
                let isInside = d >= 0 && d < g.input.d && h >= 0 && h < g.input.h
                for kw in 0..<g.kernel.w {
                  let w = ow * g.stride.w + kw * g.dilation.w - g.padding.w
                  if isInside, w >= 0, w < g.input.w {
                    sum += source[(d * g.input.h + h) * g.input.w + w] * filter[tap]
                  }
                  tap += 1
                }
              }
            }
          }
          target.pointee = sum
          target += 1
        }
      }
    }
  }
}
