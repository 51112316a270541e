import MartletCore

/// Extents of up to three spatial axes; axes that a 1-D or 2-D problem lacks are 1 (0 for padding).
package struct SpatialExtents: Sendable, Equatable {
  package var d: Int
  package var h: Int
  package var w: Int

  package init(d: Int, h: Int, w: Int) {
    self.d = d
    self.h = h
    self.w = w
  }

  /// The trailing axes from `values`, the missing leading ones `fill`.
  package init(_ values: [Int], fill: Int) {
    let padded = [Int](repeating: fill, count: max(0, 3 - values.count)) + values
    self.init(d: padded[0], h: padded[1], w: padded[2])
  }

  package var count: Int { d * h * w }
}

/// What a window over an image comes to: the extents of a convolution, whatever it sums.
///
/// src is [batch, inChannels, input], weights [outChannels, inChannels / groups, kernel], dst
/// [batch, outChannels, output].
package struct ConvolutionGeometry: Sendable, Equatable {
  package var batch: Int
  package var groups: Int
  package var inChannels: Int
  package var outChannels: Int
  package var input: SpatialExtents
  package var kernel: SpatialExtents
  package var output: SpatialExtents
  package var stride: SpatialExtents
  package var dilation: SpatialExtents
  /// Leading padding; the trailing one follows from the output's extents.
  package var padding: SpatialExtents

  package init(
    batch: Int, groups: Int, inChannels: Int, outChannels: Int, input: SpatialExtents,
    kernel: SpatialExtents, output: SpatialExtents,
    stride: SpatialExtents = SpatialExtents(d: 1, h: 1, w: 1),
    dilation: SpatialExtents = SpatialExtents(d: 1, h: 1, w: 1),
    padding: SpatialExtents = SpatialExtents(d: 0, h: 0, w: 0)
  ) {
    self.batch = batch
    self.groups = groups
    self.inChannels = inChannels
    self.outChannels = outChannels
    self.input = input
    self.kernel = kernel
    self.output = output
    self.stride = stride
    self.dilation = dilation
    self.padding = padding
  }

  /// Throws `invalidShape` where groups do not divide the channels.
  func validate(_ operatorName: String) throws(MartletError) {
    guard groups > 0, inChannels >= 0, outChannels >= 0, inChannels % groups == 0,
      outChannels % groups == 0
    else {
      throw .shape(
        operatorName, "channels", expected: "multiples of \(groups) groups",
        actual: "\(inChannels) in, \(outChannels) out")
    }
    guard batch >= 0, input.count >= 0, output.count >= 0, kernel.count > 0 else {
      throw MartletError(
        .invalidShape, "\(operatorName): an extent is negative or the kernel is empty")
    }
  }
}

/// A problem that has a convolution's geometry.
package protocol ConvolutionShaped {
  var geometry: ConvolutionGeometry { get set }
}

extension ConvolutionShaped {
  package var batch: Int {
    get { geometry.batch }
    set { geometry.batch = newValue }
  }
  package var groups: Int {
    get { geometry.groups }
    set { geometry.groups = newValue }
  }
  package var inChannels: Int {
    get { geometry.inChannels }
    set { geometry.inChannels = newValue }
  }
  package var outChannels: Int {
    get { geometry.outChannels }
    set { geometry.outChannels = newValue }
  }
  package var input: SpatialExtents {
    get { geometry.input }
    set { geometry.input = newValue }
  }
  package var kernel: SpatialExtents {
    get { geometry.kernel }
    set { geometry.kernel = newValue }
  }
  package var output: SpatialExtents {
    get { geometry.output }
    set { geometry.output = newValue }
  }
  package var stride: SpatialExtents {
    get { geometry.stride }
    set { geometry.stride = newValue }
  }
  package var dilation: SpatialExtents {
    get { geometry.dilation }
    set { geometry.dilation = newValue }
  }
  package var padding: SpatialExtents {
    get { geometry.padding }
    set { geometry.padding = newValue }
  }

  /// Rows of one group's product, and its depth.
  var groupRows: Int { outChannels / groups }
  package var groupDepth: Int { inChannels / groups * kernel.count }

  /// One filter per channel: no matrix work.
  package var isDepthwise: Bool {
    groups == inChannels && groups > 1 && input.d == 1 && kernel.d == 1 && output.d == 1
      && padding.d == 0
  }
}
