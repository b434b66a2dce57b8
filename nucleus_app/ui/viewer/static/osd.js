// OpenSeadragon, set up alike wherever pixels are looked at.

export function createOsd(element, { dblClickToZoom }) {
  return window.OpenSeadragon({
    element, prefixUrl: '', showNavigationControl: false, showNavigator: true, navigatorPosition: 'TOP_RIGHT',
    navigatorSizeRatio: 0.16, navigatorAutoFade: false, drawer: 'canvas', keyboardNavEnabled: false, animationTime: 0.25, maxZoomPixelRatio: 8,
    gestureSettingsMouse: { clickToZoom: false, dblClickToZoom }, gestureSettingsPen: { clickToZoom: false, dblClickToZoom: false }, imageLoaderLimit: 6,
  });
}
