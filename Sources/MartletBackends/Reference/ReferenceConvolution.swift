import MartletCore

extension ReferenceBackend: ConvolutionProvider {
  /// The convolution by its definition, summed in float64: all of dst, in its layout.
  package func convolution(_ problem: ConvolutionProblem) -> [Double] {
    let p = problem
    let rounds = roundsToBF16 && p.mode.permitsBF16 && p.reasonForFP32 == nil
    // Read out of the problem once: its loops are many.
    let (input, kernel, output) = (p.input, p.kernel, p.output)
    let (stride, dilation, padding) = (p.stride, p.dilation, p.padding)
    let groupIn = p.inChannels / p.groups
    let groupOut = p.outChannels / p.groups
    func used(_ value: Float) -> Double {
      let value = rounds ? BFloat16.rounded(Double(value)) : Double(value)
      return sumsMagnitudes ? abs(value) : value
    }
    let source = (0..<p.batch * p.inChannels * input.count).map { used(p.src[$0]) }
    let weights = (0..<p.outChannels * groupIn * kernel.count).map { used(p.weights[$0]) }
    var result: [Double] = []
    for n in 0..<p.batch {
      for oc in 0..<p.outChannels {
        for od in 0..<output.d {
          for oh in 0..<output.h {
            for ow in 0..<output.w {
              var sum = 0.0
              for c in 0..<groupIn {
                let plane = (n * p.inChannels + oc / groupOut * groupIn + c) * input.count
                let filter = (oc * groupIn + c) * kernel.count
                for kd in 0..<kernel.d {
                  let d = od * stride.d + kd * dilation.d - padding.d
                  guard d >= 0, d < input.d else { continue }
                  for kh in 0..<kernel.h {
                    let h = oh * stride.h + kh * dilation.h - padding.h
                    guard h >= 0, h < input.h else { continue }
                    for kw in 0..<kernel.w {
                      let w = ow * stride.w + kw * dilation.w - padding.w
                      guard w >= 0, w < input.w else { continue }
                      sum +=
                        source[plane + (d * input.h + h) * input.w + w]
                        * weights[filter + (kd * kernel.h + kh) * kernel.w + kw]
                    }
                  }
                }
              }
              if !sumsMagnitudes {
                sum += Double(p.bias?[oc] ?? 0) + Double(p.residual?[result.count] ?? 0)
                sum = p.activation?.apply(sum) ?? sum
              }
              result.append(sum)
            }
          }
        }
      }
    }
    return result
  }

  /// It reads weights as they are.
  package func form(of problem: ConvolutionProblem) -> ConvolutionForm? { nil }

  package func prepare(
    _ problem: ConvolutionProblem, _ form: ConvolutionForm, pool: ThreadPool
  ) throws(MartletError) -> ConvolutionWeights {
    throw MartletError(.internalError, "the reference reads weights as they are")
  }

  package func convolve(
    _ problem: ConvolutionProblem, pool: ThreadPool
  ) throws(MartletError) -> Execution {
    try problem.validate()
    for (index, value) in convolution(problem).enumerated() { problem.dst[index] = Float(value) }
    let rounds = roundsToBF16 && problem.mode.permitsBF16 && problem.reasonForFP32 == nil
    return execution(rounds: rounds, problem.mode)
  }
}
